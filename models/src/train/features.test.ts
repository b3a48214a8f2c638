import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import type { TrainingGraphOptions } from '../autodiff/trainingGraph.js';
import type { DataSet, View } from '../data/dataset.js';
import { simulateVibration } from '../data/vibration.js';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError } from '../onnx/model.js';
import { Random } from '../random.js';
import { ZOO, zooModel } from '../zoo/zoo.js';
import { near, regularised } from './models.cases.js';
import { OrtTrainer } from './ortTrainer.js';

const all = (data: DataSet): View => ({ data, indices: Int32Array.from({ length: data.length }, (_, i) => i) });

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
    test(`${name} has the published number of parameters and its loss falls`, async () => {
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
