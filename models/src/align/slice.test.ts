import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { prepareArtifact } from '../artifact.js';
import { Random } from '../random.js';
import { Evaluator } from '../train/evaluator.js';
import { OrtTrainer } from '../train/ortTrainer.js';
import { zooModel } from '../zoo/zoo.js';
import { gather, sliceArtifact, sliceModel } from './slice.js';

const CASES = [
  ['mlp', [1, 8, 8], 'cross-entropy'],
  ['cnn-small', [3, 16, 16], 'cross-entropy'],
  ['sensor-cnn1d', [2, 256], 'cross-entropy'],
  ['sensor-autoencoder', [2, 256], 'mse'],
  ['mobilenetv2', [3, 32, 32], 'cross-entropy'],
] as const;

describe('width slices', () => {
  for (const [name, sample, loss] of CASES) {
    test(`${name}: a slice computes what the whole does with the other units silenced, and trains`, async () => {
      const model = zooModel(name, { input: [...sample], classes: 5, seed: 2 });
      const whole = await prepareArtifact(model, { loss, batch: 4, sample: [...sample] });
      const { artifact, slice } = await sliceArtifact(whole, 0.5);
      assert.ok(artifact.layout.total < 0.7 * whole.layout.total, `${artifact.layout.total} of ${whole.layout.total}`);
      assert.equal(artifact.sha256, whole.sha256);
      assert.deepEqual(artifact.weights, gather(whole.weights, slice));
      assert.equal(new Set(slice.positions).size, slice.layout.total);
      // Zero weights elsewhere: what is left out then adds nothing to what is kept.
      const silenced = new Float32Array(whole.layout.total);
      for (const [i, at] of slice.positions.entries()) silenced[at] = artifact.weights[i] as number;
      for (const t of whole.layout.tensors)
        if (/var/i.test(t.name)) for (let i = 0; i < t.length; i++) silenced[t.offset + i] ||= 1;
      const x = Float32Array.from({ length: 3 * sample.reduce<number>((a, d) => a * d, 1) }, (_, i) => Math.sin(i));
      const [big, small] = [
        await Evaluator.create(whole.model, whole.layout),
        await Evaluator.create(artifact.model, artifact.layout),
      ];
      const [a, b] = [await big.run(silenced, x, [3, ...sample]), await small.run(artifact.weights, x, [3, ...sample])];
      assert.equal(a.length, b.length);
      for (const [i, v] of a.entries()) assert.ok(Math.abs(v - (b[i] as number)) < 1e-4, `${v} ${b[i]}`);
      await big.release();
      await small.release();
      const trainer = await OrtTrainer.create(artifact.train);
      trainer.setWeights(artifact.weights);
      const random = new Random(1);
      const batch = Float32Array.from({ length: (4 * x.length) / 3 }, () => random.normal());
      const y = loss === 'mse' ? batch : Int32Array.of(0, 1, 2, 3);
      const ones = new Float32Array(4).fill(1);
      const first = await trainer.step(batch, y, ones, 0.01, 0.9);
      let last = first;
      for (let i = 0; i < 20; i++) last = await trainer.step(batch, y, ones, 0.01, 0.9);
      assert.ok(last.loss < first.loss, `${first.loss} -> ${last.loss}`);
      await trainer.release();
    });
  }

  test('widths that no cloud expects are refused', async () => {
    const whole = await prepareArtifact(zooModel('mlp', { input: [4], classes: 2, seed: 1 }), {
      loss: 'cross-entropy',
      batch: 2,
      sample: [4],
    });
    for (const width of [0, 1, 0.3, -0.5, Number.NaN])
      await assert.rejects(sliceModel(whole.model, whole.layout, [4], width), RangeError);
  });
});
