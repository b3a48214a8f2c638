import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeLayout } from '@ecavg/protocol';
import { prepareArtifact } from '../artifact.js';
import { headTensors } from '../autodiff/tensors.js';
import { Evaluator } from '../train/evaluator.js';
import { ZOO, zooModel } from '../zoo/zoo.js';
import { cutModel, headInput } from './cut.js';
import { ModelError } from './model.js';

const INPUT: Record<string, number[]> = {
  mlp: [1, 8, 8],
  'cnn-small': [3, 16, 16],
  mobilenetv2: [3, 32, 32],
  resnet50: [3, 32, 32],
  'sensor-cnn1d': [2, 256],
  'sensor-autoencoder': [2, 256],
};

describe('a model cut in two', () => {
  for (const name of Object.keys(ZOO)) {
    test(`${name}: head of body is the whole`, async () => {
      const sample = INPUT[name] ?? [];
      const model = zooModel(name, { input: sample, classes: 5, seed: 3 });
      const { body, head, shape } = await cutModel(model, headInput(model), sample);
      const x = Float32Array.from({ length: 2 * sample.reduce((a, d) => a * d, 1) }, (_, i) => Math.sin(i));
      const run = async (m: typeof model, input: Float32Array, dims: readonly number[]) => {
        const evaluator = await Evaluator.create(m, makeLayout([]));
        const out = await evaluator.run(new Float32Array(), input, dims);
        await evaluator.release();
        return out;
      };
      const features = await run(body, x, [2, ...sample]);
      assert.equal(features.length, 2 * shape.reduce((a, d) => a * d, 1));
      assert.deepEqual(await run(head, features, [2, ...shape]), await run(model, x, [2, ...sample]));
      assert.ok((head.graph?.initializer.length ?? 0) < (model.graph?.initializer.length ?? 0));
    });
  }

  test('a value that is passed by, or that there is not, is refused by name', async () => {
    const sample = INPUT.resnet50 ?? [];
    const model = zooModel('resnet50', { input: sample, classes: 5, seed: 3 });
    await assert.rejects(
      cutModel(model, 'nothing', sample),
      (e) => e instanceof ModelError && /nothing/.test(e.message),
    );
    const first = model.graph?.node.find((n) => n.opType === 'Add');
    const branch = first?.input[0] ?? '';
    await assert.rejects(cutModel(model, branch, sample), /goes past it/);
  });

  test('the head of a model is its last layer with weights', async () => {
    for (const name of ['mlp', 'mobilenetv2']) {
      const sample = INPUT[name] ?? [];
      const model = zooModel(name, { input: sample, classes: 5, seed: 3 });
      const { layout } = await prepareArtifact(model, { loss: 'cross-entropy', batch: 2, sample });
      const names = headTensors(
        model.graph as NonNullable<typeof model.graph>,
        new Set(layout.tensors.map((t) => t.name)),
      );
      const shapes = layout.tensors.filter((t) => names.includes(t.name)).map((t) => t.shape);
      assert.equal(shapes.length, 2);
      assert.ok(shapes.every((s) => s.includes(5)));
    }
  });
});
