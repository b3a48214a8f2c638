import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import type { TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import type { DataSet, View } from '../data/dataset.js';
import { simulateVibration } from '../data/vibration.js';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError, type ModelProto } from '../onnx/model.js';
import { Random } from '../random.js';
import { ZOO, zooModel } from '../zoo/zoo.js';
import { regularised } from './models.cases.js';
import { OrtTrainer } from './ortTrainer.js';

const all = (data: DataSet): View => ({ data, indices: Int32Array.from({ length: data.length }, (_, i) => i) });

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

const near = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  actual.forEach((v, i) => {
    assert.ok(Math.abs(v - (expected[i] ?? 0)) < 2e-5 * (1 + Math.abs(v)), `${actual} for ${expected}`);
  });
};

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

describe('which tensors are trained', () => {
  const spec = { input: [1, 8, 8], classes: 3, seed: 1 };
  const build = (options: Partial<TrainingGraphOptions>) =>
    prepareArtifact(zooModel('cnn-small', spec), { loss: 'cross-entropy', batch: 4, sample: spec.input, ...options });

  test('frozen parameters are no part of the layout, and do not change the others’ gradients', async () => {
    const [whole, head] = await Promise.all([build({}), build({ frozen: ['conv*'] })]);
    assert.deepEqual(
      head.layout.tensors.map((t) => t.name),
      ['head.weight', 'head.bias'],
    );
    assert.deepEqual((await build({ trainable: ['head.*'] })).layout, head.layout);
    const after: Float32Array[] = [];
    for (const artifact of [whole, head]) {
      const trainer = await OrtTrainer.create(artifact.train);
      trainer.setWeights(artifact.weights);
      await trainer.step(
        new Float32Array(4 * 64).fill(0.3),
        Int32Array.of(0, 1, 2, 0),
        new Float32Array(4).fill(1),
        0.1,
        0,
      );
      const slot = artifact.layout.tensors.find((t) => t.name === 'head.weight');
      assert.ok(slot);
      after.push(trainer.getWeights().slice(slot.offset, slot.offset + slot.length));
      await trainer.release();
    }
    // The frozen layers are constants to ONNX Runtime, which computes them in another order.
    near([...(after[0] ?? [])], [...(after[1] ?? [])]);
  });

  test('a pattern that fits nothing is refused with the names there are', async () => {
    await assert.rejects(
      build({ frozen: ['features/*'] }),
      (e) => e instanceof ModelError && /"features\/\*"; there are conv1\.weight/.test(e.message),
    );
    await assert.rejects(build({ frozen: ['*'] }), /no float32 parameters to train/);
  });
});

describe('batch normalisation', () => {
  test('running statistics follow the batch as ONNX says, and travel in the layout', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', DataType.FLOAT, ['N', 2]);
    const constant = (name: string, v: number): string => b.weights(name, [2], Float32Array.of(v, v));
    const operands = [x, constant('g', 1), constant('h', 0), constant('mean', 0), constant('var', 1)];
    b.named('y', 'BatchNormalization', operands, { momentum: { float: 0.8 } });
    b.output('y', DataType.FLOAT, ['N', 2]);
    const artifact = await prepareArtifact(b.model({ name: 'bn' }), { loss: 'mse', batch: 4, sample: [2] });
    assert.deepEqual(
      artifact.layout.tensors.map((t) => t.name),
      ['g', 'h', 'mean', 'var'],
    );
    const trainer = await OrtTrainer.create(artifact.train);
    trainer.setWeights(artifact.weights);
    // Far from 0, where a careless variance would lose every digit.
    const data = Float32Array.of(1000, 1, 1001, 3, 1002, 5, 1003, 7);
    await trainer.step(data, new Float32Array(8), new Float32Array(4).fill(1), 0, 0);
    const [, , , , m0 = 0, m1 = 0, v0 = 0, v1 = 0] = trainer.getWeights();
    near([m0, m1, v0, v1], [0.2 * 1001.5, 0.2 * 4, 0.8 + 0.2 * 1.25, 0.8 + 0.2 * 5]);
    await trainer.release();
  });

  for (const [name, input] of [
    ['mobilenetv2', [3, 32, 32]],
    ['resnet50', [3, 32, 32]],
  ] as const) {
    test(`${name} has the published number of parameters and its loss falls`, { timeout: 120_000 }, async () => {
      const artifact = await prepareArtifact(zooModel(name, { input, classes: 10, seed: 1 }), {
        loss: 'cross-entropy',
        batch: 4,
        sample: input,
      });
      const trained = artifact.info.parameters.reduce((a, p) => a + p.shape.reduce((x, d) => x * d, 1), 0);
      // Counts of the CIFAR-10 forms with 10 classes.
      assert.equal(trained, name === 'mobilenetv2' ? 2_236_682 : 23_520_842);
      const trainer = await OrtTrainer.create(artifact.train, 2);
      trainer.setWeights(artifact.weights);
      const random = new Random(1);
      const x = Float32Array.from({ length: 4 * 3072 }, () => random.normal());
      const losses: number[] = [];
      for (let i = 0; i < 4; i++) {
        losses.push((await trainer.step(x, Int32Array.of(0, 1, 2, 3), new Float32Array(4).fill(1), 0.02, 0.9)).loss);
      }
      assert.ok((losses[3] ?? 9) < 0.7 * (losses[0] ?? 0), losses.join(' '));
      await trainer.release();
    });
  }
});

describe('training runs', () => {
  const data = simulateVibration({ sites: 1, recordingsPerSite: 15, windowsPerRecording: 3, seed: 1 });

  test('the autoencoder learns to rebuild unlabelled signals', async () => {
    const model = zooModel('sensor-autoencoder', { input: data.shape, classes: 0, seed: 1 });
    const loss = ZOO['sensor-autoencoder']?.loss ?? 'mse';
    const artifact = await prepareArtifact(model, { loss, batch: 8, sample: data.shape });
    const trainer = await OrtTrainer.create(artifact.train);
    trainer.setWeights(artifact.weights);
    const options = { learningRate: 0.05, momentum: 0.9, seed: 1 };
    const first = await trainer.train(all(data), { ...options, epochs: 1 });
    const last = await trainer.train(all(data), { ...options, epochs: 6 });
    assert.ok(last.loss < 0.5 * first.loss, `${first.loss} -> ${last.loss}`);
    await trainer.release();
  });

  test('a class loss on a model that has no classes, and the other way round, are refused', async () => {
    const model = zooModel('sensor-autoencoder', { input: data.shape, classes: 0, seed: 1 });
    await assert.rejects(
      prepareArtifact(model, { loss: 'cross-entropy', batch: 2, sample: data.shape }),
      /needs an output of shape \[batch, classes\]/,
    );
    const artifact = await prepareArtifact(zooModel('sensor-cnn1d', { input: data.shape, classes: 4, seed: 1 }), {
      loss: 'mse',
      batch: 2,
      sample: data.shape,
    });
    const trainer = await OrtTrainer.create(artifact.train);
    await assert.rejects(
      trainer.train(all(data), { epochs: 1, learningRate: 0.1, momentum: 0, seed: 1 }),
      /rebuilds the input/,
    );
    await trainer.release();
  });

  test('resuming at any step ends at the same bits as an uninterrupted run', async () => {
    const graph: TrainingGraphOptions = {
      loss: 'cross-entropy',
      batch: 8,
      sample: data.shape,
      optimizer: { type: 'adamw' },
      proximal: true,
    };
    const artifact = await prepareArtifact(regularised(data.shape), graph);
    const trainer = await OrtTrainer.create(artifact.train);
    const options = { epochs: 3, learningRate: 0.01, momentum: 0, seed: 9, mu: 0.1 };
    trainer.setWeights(artifact.weights);
    const saved: Uint8Array[] = [];
    const whole = await trainer.train(all(data), {
      ...options,
      checkpoint: { everySteps: 1, save: async (bytes) => void saved.push(bytes) },
    });
    const expected = trainer.getWeights();
    assert.equal(saved.length, whole.steps);
    for (const at of [0, 2, 5, 6, 11, whole.steps - 1]) {
      // A process that knows nothing but the graph and the checkpoint.
      const other = await OrtTrainer.create(artifact.train);
      const resumed = await other.train(all(data), { ...options, resume: saved[at] as Uint8Array });
      assert.deepEqual(other.getWeights(), expected, `resumed after step ${at + 1}`);
      assert.deepEqual([resumed.steps, resumed.loss, resumed.accuracy], [whole.steps, whole.loss, whole.accuracy]);
      await other.release();
    }
    const first = saved[0] as Uint8Array;
    await assert.rejects(trainer.train(all(data), { ...options, seed: 8, resume: first }), /checkpoint is of seed 9/);
    await assert.rejects(trainer.train(all(data), { ...options, resume: first.subarray(0, 50) }), /not a checkpoint/);
    await trainer.release();
  });

  test('mu without a proximal graph is refused', async () => {
    const artifact = await prepareArtifact(regularised(data.shape), {
      loss: 'cross-entropy',
      batch: 8,
      sample: data.shape,
    });
    const trainer = await OrtTrainer.create(artifact.train);
    await assert.rejects(
      trainer.train(all(data), { epochs: 1, learningRate: 0.1, momentum: 0, seed: 1, mu: 1 }),
      /built with proximal/,
    );
    await trainer.release();
  });
});

test('samples without a label leave no trace', async () => {
  const spec = { input: [6], classes: 3, seed: 2 };
  const artifact = await prepareArtifact(zooModel('mlp', spec), { loss: 'cross-entropy', batch: 3, sample: [6] });
  const trainer = await OrtTrainer.create(artifact.train);
  const x = Float32Array.from({ length: 18 }, (_, i) => Math.sin(i));
  const after: Float32Array[] = [];
  for (const [y, weight] of [
    [
      [0, -1, 2],
      [1, 1, 1],
    ],
    [
      [0, 1, 2],
      [1, 0, 1],
    ],
  ] as const) {
    trainer.setWeights(artifact.weights);
    await trainer.step(x, Int32Array.from(y), Float32Array.from(weight), 0.1, 0);
    after.push(trainer.getWeights());
  }
  assert.deepEqual(after[0], after[1]);
  trainer.setWeights(artifact.weights);
  const none = await trainer.step(x, Int32Array.of(-1, -1, -1), Float32Array.of(1, 1, 1), 0.1, 0);
  assert.equal(Math.abs(none.loss), 0);
  assert.deepEqual(trainer.getWeights(), artifact.weights);
  await trainer.release();
});
