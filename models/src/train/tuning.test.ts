import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import { everything, joinViews, rowsData, withTargets } from '../data/rows.js';
import { ModelError } from '../onnx/model.js';
import { Random } from '../random.js';
import { zooModel } from '../zoo/zoo.js';
import { scheduled } from './loop.js';
import { OrtTrainer } from './ortTrainer.js';

const random = new Random(5);
const labels = Int32Array.from({ length: 60 }, (_, i) => i % 3);
const values = Float32Array.from(
  { length: 60 * 4 },
  (_, i) => (i % 4 === labels[i >> 2] ? 2 : 0) + 0.3 * random.normal(),
);
const data = rowsData({ name: 'rows', shape: [4], classes: ['a', 'b', 'c'], values, labels });
const view = everything(data);
const model = zooModel('mlp', { input: [4], classes: 3, seed: 1 });
const about = { loss: 'cross-entropy', batch: 10, sample: [4] } as const;
const run = { epochs: 4, learningRate: 0.05, momentum: 0.9, seed: 1 };

describe('what fine-tuning can do', () => {
  test('held tensors stay as they are set, the others move; they come last in the layout', async () => {
    const artifact = await prepareArtifact(model, { ...about, held: ['hidden*'] });
    const trainer = await OrtTrainer.create(artifact.train);
    const start = artifact.weights.map((w) => w + 0.01);
    trainer.setWeights(start);
    await trainer.train(view, run);
    const end = trainer.getWeights();
    const names = artifact.layout.tensors.map((t) => t.name.startsWith('hidden'));
    assert.deepEqual(names, [false, false, true, true]);
    for (const { name, offset, length } of artifact.layout.tensors) {
      const [a, b] = [start.subarray(offset, offset + length), end.subarray(offset, offset + length)];
      if (name.startsWith('hidden')) assert.deepEqual(b, a);
      else assert.notDeepEqual(b, a);
    }
    await trainer.release();
    await assert.rejects(prepareArtifact(model, { ...about, held: ['*'] }), /nothing is left to train/);
  });

  test('schedules end at zero, budgets and callbacks end a run', async () => {
    assert.equal(scheduled('constant', 0.7), 1);
    assert.ok(Math.abs(scheduled('linear', 0.25) - 0.75) < 1e-12);
    assert.ok(Math.abs(scheduled('cosine', 0.5) - 0.5) < 1e-12);
    assert.ok(scheduled('cosine', 1) < 1e-12 && scheduled('linear', 1) === 0);
    const { train, weights } = await prepareArtifact(model, about);
    const trainer = await OrtTrainer.create(train);
    const steps = async (extra: object): Promise<number> => {
      trainer.setWeights(weights);
      return (await trainer.train(view, { ...run, ...extra })).steps;
    };
    assert.equal(await steps({}), 24);
    assert.equal(await steps({ maxSteps: 5 }), 5);
    assert.equal(await steps({ maxSeconds: 0 }), 1);
    const seen: number[] = [];
    assert.equal(await steps({ onEpoch: async (e: number) => seen.push(e) < 2 }), 12);
    assert.deepEqual(seen, [1, 2]);
    await trainer.release();
  });

  test('distributions as targets: with one-hot ones, the same steps as with labels', async () => {
    const hard = await OrtTrainer.create((await prepareArtifact(model, about)).train);
    const { train, weights } = await prepareArtifact(model, { ...about, loss: 'soft-cross-entropy' });
    const soft = await OrtTrainer.create(train);
    const rows = new Float32Array(60 * 3);
    for (const [i, label] of labels.entries()) rows[3 * i + label] = 1;
    hard.setWeights(weights);
    soft.setWeights(weights);
    const [a, b] = [await hard.train(view, run), await soft.train(withTargets(view, rows), run)];
    assert.ok(Math.abs(a.loss - b.loss) < 1e-5 && a.accuracy === b.accuracy);
    const [x, y] = [hard.getWeights(), soft.getWeights()];
    for (const [i, v] of x.entries()) assert.ok(Math.abs(v - (y[i] as number)) < 1e-4);
    await assert.rejects(soft.train(view, run), ModelError);
    await hard.release();
    await soft.release();
  });

  test('sets joined hold all samples of each, and no others', () => {
    const other = rowsData({
      name: 'more',
      shape: [4],
      classes: ['a', 'b', 'c'],
      values: Float32Array.of(9, 9, 9, 9),
      labels: Int32Array.of(2),
    });
    const both = joinViews([{ data, indices: Int32Array.of(3, 5) }, everything(other)]);
    assert.deepEqual([...both.data.labels], [0, 2, 2]);
    const out = new Float32Array(4);
    both.data.read(2, out, 0);
    assert.deepEqual([...out], [9, 9, 9, 9]);
    both.data.read(1, out, 0);
    assert.deepEqual(out, values.subarray(20, 24));
  });
});
