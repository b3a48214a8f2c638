import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { prepareArtifact } from '../artifact.js';
import { Random } from '../random.js';
import { Evaluator } from '../train/evaluator.js';
import { ZOO, zooModel } from '../zoo/zoo.js';
import { assign } from './assign.js';
import { permutationGroups } from './groups.js';
import { canMove, matchWeights, permute } from './match.js';

function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((p) =>
    Array.from({ length: n }, (_, i) => [...p.slice(0, i), n - 1, ...p.slice(i)]),
  );
}

describe('linear assignment', () => {
  test('finds the best of all permutations', () => {
    const matrices = fc
      .integer({ min: 1, max: 6 })
      .chain((n) => fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: n * n, maxLength: n * n }));
    fc.assert(
      fc.property(matrices, (values) => {
        const n = Math.sqrt(values.length);
        const total = (p: ArrayLike<number>): number =>
          Array.from({ length: n }, (_, i) => values[i * n + (p[i] as number)] as number).reduce((a, b) => a + b, 0);
        const found = assign(Float64Array.from(values), n);
        assert.deepEqual(
          [...found].sort((a, b) => a - b),
          [...Array(n).keys()],
        );
        const best = Math.max(...permutations(n).map(total));
        assert.ok(Math.abs(total(found) - best) < 1e-9, `${total(found)} instead of ${best}`);
      }),
    );
  });

  test('undoes a shuffle of 300 rows', () => {
    const n = 300;
    const order = new Random(1).shuffle(Int32Array.from({ length: n }, (_, i) => i));
    const gain = new Float64Array(n * n);
    order.forEach((o, i) => {
      gain[i * n + o] = 1;
    });
    assert.deepEqual(assign(gain, n), order);
  });
});

/** A small sample that each architecture takes. */
const INPUT: Record<string, number[]> = {
  mlp: [1, 8, 8],
  'cnn-small': [3, 16, 16],
  mobilenetv2: [3, 32, 32],
  resnet50: [3, 32, 32],
  'sensor-cnn1d': [2, 256],
  'sensor-autoencoder': [2, 256],
};

describe('permutation groups', () => {
  for (const [name, { loss }] of Object.entries(ZOO)) {
    test(`${name}: any order of units computes the same, and matching finds the order back`, async () => {
      const sample = INPUT[name] ?? [];
      const model = zooModel(name, { input: sample, classes: 5, seed: 3 });
      const artifact = await prepareArtifact(model, { loss, batch: 2, sample });
      const { layout } = artifact;
      const groups = (await permutationGroups(artifact.model, sample)).filter((g) => canMove(layout, g));
      assert.ok(groups.length > 0);
      const random = new Random(7);
      // Biases and statistics that are not all alike, so that a member that was forgotten shows.
      const reference = artifact.weights.map((w) => w + 0.01 * random.uniform());
      const shuffled = reference.slice();
      for (const group of groups) {
        permute(layout, shuffled, group, random.shuffle(Int32Array.from({ length: group.size }, (_, i) => i)));
      }
      const evaluator = await Evaluator.create(artifact.model, layout);
      const x = Float32Array.from({ length: 2 * sample.reduce((a, b) => a * b, 1) }, () => random.normal());
      const run = (weights: Float32Array): Promise<Float32Array> => evaluator.run(weights, x, [2, ...sample]);
      const [before, after] = [await run(reference), await run(shuffled)];
      const scale = Math.max(...before.map(Math.abs));
      const worst = Math.max(...before.map((v, i) => Math.abs(v - (after[i] as number))));
      assert.ok(worst < 1e-4 * scale, `outputs differ by ${worst} of ${scale}`);
      assert.ok(shuffled.some((w, i) => w !== reference[i]));
      await evaluator.release();
      if (layout.total > 300_000) return;
      assert.deepEqual((await matchWeights(layout, groups, reference, shuffled)).weights, reference);
    });
  }

  test('of a multilayer perceptron: its hidden units, along three axes', async () => {
    const groups = await permutationGroups(zooModel('mlp', { input: [1, 8, 8], classes: 5, seed: 1 }), [1, 8, 8]);
    assert.deepEqual(groups, [
      {
        size: 128,
        members: [
          { tensor: 'hidden.weight', axis: 0, block: 1 },
          { tensor: 'hidden.bias', axis: 0, block: 1 },
          { tensor: 'head.weight', axis: 1, block: 1 },
        ],
      },
    ]);
  });

  test('a flattened convolution moves whole blocks of places', async () => {
    const groups = await permutationGroups(
      zooModel('cnn-small', { input: [1, 16, 16], classes: 5, seed: 1 }),
      [1, 16, 16],
    );
    const head = groups.flatMap((g) => g.members).find((m) => m.tensor === 'head.weight');
    assert.deepEqual(head, { tensor: 'head.weight', axis: 1, block: 16 });
  });
});
