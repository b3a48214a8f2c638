import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import { type Artifact, prepareArtifact } from '../artifact.js';
import type { TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import type { View } from '../data/dataset.js';
import { simulateVibration } from '../data/vibration.js';
import { ModelError } from '../onnx/model.js';
import type { OptimizerName, OptimizerOptions } from '../optimizers/options.js';
import { createTrainer } from '../train/engine.js';
import { regularised } from '../train/models.cases.js';
import { OrtTrainer } from '../train/ortTrainer.js';
import type { Trainer } from '../train/types.js';
import { zooModel } from '../zoo/zoo.js';
import { TfjsTrainer } from './trainer.js';

const data = simulateVibration({ sites: 1, recordingsPerSite: 8, windowsPerRecording: 3, seed: 1 });
const view: View = { data, indices: Int32Array.from({ length: data.length }, (_, i) => i) };
const build = (options: Partial<TrainingGraphOptions>) =>
  prepareArtifact(regularised(data.shape), { loss: 'cross-entropy', batch: 8, sample: data.shape, ...options });

/** Largest difference between two vectors, over the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  const most = (values: Float32Array): number => values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  return most(a.map((v, i) => v - (b[i] ?? Number.NaN))) / most(a);
}

const run = { epochs: 2, learningRate: 0.01, momentum: 0.9, seed: 9 };

async function sameRun(artifact: Artifact, other: Trainer, mu = 0): Promise<void> {
  const ours = await OrtTrainer.create(artifact.train);
  const results = [];
  for (const trainer of [ours, other]) {
    trainer.setWeights(artifact.weights);
    results.push(await trainer.train(view, { ...run, mu }));
  }
  const [a, b] = results;
  assert.ok(a && b && a.steps === b.steps && Math.abs(a.loss - b.loss) < 1e-4 * a.loss, `${a?.loss}, ${b?.loss}`);
  assert.equal(a.accuracy, b.accuracy);
  assert.notDeepEqual(ours.getWeights(), artifact.weights);
  assert.ok(distance(ours.getWeights(), other.getWeights()) < 1e-3, 'weights differ');
  await ours.release();
}

describe('TfjsTrainer on pure TensorFlow.js', () => {
  before(async () => {
    tf.enableProdMode();
    await tf.setBackend('cpu');
  });

  // Every optimiser: one that is missing here does not compile.
  const optimizers: Readonly<Record<OptimizerName, OptimizerOptions>> = {
    sgd: { type: 'sgd', nesterov: true, weightDecay: 0.01 },
    // Its usual epsilon would make a whole step of a gradient that is nothing but rounding.
    adamw: { type: 'adamw', epsilon: 1e-3, weightDecay: 0.2 },
  };
  for (const [name, options] of Object.entries<Partial<TrainingGraphOptions>>({
    ...Object.fromEntries(Object.entries(optimizers).map(([name, optimizer]) => [name, { optimizer }])),
    'sgd, clipped': { clipNorm: 0.5 },
    'frozen layers and statistics': { frozen: ['w1'], batchNorm: 'frozen' },
  })) {
    test(`a run is that of OrtTrainer: ${name}`, async () => {
      const artifact = await build(options);
      const trainer = await TfjsTrainer.create(tf, artifact);
      await sameRun(artifact, trainer);
      await trainer.release();
    });
  }

  test('a run is that of OrtTrainer: FedProx', async () => {
    const artifact = await build({ proximal: true });
    const trainer = await TfjsTrainer.create(tf, artifact);
    await sameRun(artifact, trainer, 0.5);
    await trainer.release();
  });

  test('a checkpoint of one engine goes on in the other, and in its own to the bit', async () => {
    const artifact = await build({ optimizer: { type: 'adamw' }, proximal: true });
    const first = await TfjsTrainer.create(tf, artifact);
    first.setWeights(artifact.weights);
    const saved: Uint8Array[] = [];
    const checkpoint = { everySteps: 2, save: async (bytes: Uint8Array) => void saved.push(bytes) };
    const options = { ...run, mu: 0.1 };
    await first.train(view, { ...options, checkpoint });
    const resume = saved[0] as Uint8Array;
    const own = await TfjsTrainer.create(tf, artifact);
    await own.train(view, { ...options, resume });
    assert.deepEqual(own.getWeights(), first.getWeights());
    const ort = await OrtTrainer.create(artifact.train);
    const { steps } = await ort.train(view, { ...options, resume });
    assert.equal(steps, 6);
    assert.ok(distance(first.getWeights(), ort.getWeights()) < 0.05);
    for (const trainer of [first, own, ort]) await trainer.release();
  });

  test('wrong weights are refused, and released tensors are gone', async () => {
    const count = tf.memory().numTensors;
    const trainer = await TfjsTrainer.create(tf, await build({ proximal: true }));
    assert.throws(() => trainer.setWeights(new Float32Array(3)), RangeError);
    await trainer.train(view, { ...run, maxSteps: 1 });
    await trainer.release();
    assert.equal(tf.memory().numTensors, count);
  });
});

describe('engine tfjs-node', () => {
  test('trains as ONNX Runtime does, or says what is missing', async (t) => {
    const spec = { input: data.shape, classes: 4, seed: 1 };
    const artifact = await prepareArtifact(zooModel('sensor-cnn1d', spec), {
      loss: 'cross-entropy',
      batch: 8,
      sample: data.shape,
    });
    let trainer: Trainer;
    try {
      trainer = await createTrainer(artifact, { engine: 'tfjs-node' });
    } catch (error) {
      assert.ok(error instanceof ModelError);
      assert.match(error.message, /^engine "tfjs-node" can't be used, .*npm (install|rebuild) .*choose engine "ort"$/);
      t.skip(error.message);
      return;
    }
    assert.equal(trainer.engine, 'tfjs-node');
    await sameRun(artifact, trainer);
    await trainer.release();
  });
});
