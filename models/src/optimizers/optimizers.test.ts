import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import type { TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, type ModelProto } from '../onnx/model.js';
import { near } from '../train/models.cases.js';
import { OrtTrainer } from '../train/ortTrainer.js';

/** y = x w for one weight vector of 3: small enough to work out by hand. */
function linear(w: number[]): ModelProto {
  const b = new GraphBuilder();
  const x = b.input('x', DataType.FLOAT, ['N', 3]);
  b.named('y', 'MatMul', [x, b.weights('w', [3, 1], Float32Array.from(w))]);
  b.output('y', DataType.FLOAT, ['N', 1]);
  return b.model({ name: 'linear' });
}

const START = [0.5, -1, 2];
const X = Float32Array.of(1, 2, 3, -1, 0, 1);
const Y = Float32Array.of(1, -2);

/** dL/dw of the mean squared error of `linear` on X, Y. */
function gradient(w: readonly number[]): number[] {
  const g = [0, 0, 0];
  for (let i = 0; i < 2; i++) {
    const row = [...X.subarray(3 * i, 3 * i + 3)];
    const error = row.reduce((a, v, j) => a + v * (w[j] ?? 0), 0) - (Y[i] ?? 0);
    row.forEach((v, j) => {
      g[j] = (g[j] ?? 0) + error * v;
    });
  }
  return g;
}

async function run(
  options: Partial<TrainingGraphOptions>,
  steps: number,
  lr: number,
  momentum = 0,
  mu = 0,
): Promise<number[]> {
  const artifact = await prepareArtifact(linear(START), { loss: 'mse', batch: 2, sample: [3], ...options });
  const trainer = await OrtTrainer.create(artifact.train);
  trainer.setWeights(artifact.weights);
  for (let i = 0; i < steps; i++) await trainer.step(X, Y, Float32Array.of(1, 1), lr, momentum, { mu });
  const weights = [...trainer.getWeights()];
  await trainer.release();
  return weights;
}

describe('optimisers do what their formulas say', () => {
  test('SGD with Nesterov momentum and weight decay', async () => {
    let [w, v] = [START, [0, 0, 0]];
    for (let i = 0; i < 3; i++) {
      const g = gradient(w).map((d, j) => d + 0.1 * (w[j] ?? 0));
      v = v.map((old, j) => 0.9 * old + (g[j] ?? 0));
      w = w.map((old, j) => old - 0.05 * ((g[j] ?? 0) + 0.9 * (v[j] ?? 0)));
    }
    near(await run({ optimizer: { type: 'sgd', nesterov: true, weightDecay: 0.1 } }, 3, 0.05, 0.9), w);
  });

  test('AdamW', async () => {
    let [w, m, v] = [START, [0, 0, 0], [0, 0, 0]];
    for (let t = 1; t <= 4; t++) {
      const g = gradient(w);
      m = m.map((old, j) => 0.9 * old + 0.1 * (g[j] ?? 0));
      v = v.map((old, j) => 0.99 * old + 0.01 * (g[j] ?? 0) ** 2);
      w = w.map((old, j) => {
        const [mHat, vHat] = [(m[j] ?? 0) / (1 - 0.9 ** t), (v[j] ?? 0) / (1 - 0.99 ** t)];
        return old - 0.1 * (mHat / (Math.sqrt(vHat) + 1e-8) + 0.2 * old);
      });
    }
    near(await run({ optimizer: { type: 'adamw', beta2: 0.99, weightDecay: 0.2 } }, 4, 0.1), w);
  });

  test('clipping scales the gradient to the norm, and leaves a smaller one alone', async () => {
    const g = gradient(START);
    const norm = Math.hypot(...g);
    near(
      await run({ clipNorm: 0.5 }, 1, 1),
      START.map((w, j) => w - (0.5 * (g[j] ?? 0)) / norm),
    );
    near(
      await run({ clipNorm: 1e6 }, 1, 1),
      START.map((w, j) => w - (g[j] ?? 0)),
    );
  });

  test('FedProx pulls to the weights that training started from', async () => {
    let w = START;
    for (let i = 0; i < 3; i++)
      w = w.map((old, j) => old - 0.05 * ((gradient(w)[j] ?? 0) + 2 * (old - (START[j] ?? 0))));
    near(await run({ proximal: true }, 3, 0.05, 0, 2), w);
  });
});
