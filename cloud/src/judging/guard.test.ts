import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type Artifact,
  OrtTrainer,
  openData,
  permutationGroups,
  permute,
  prepareArtifact,
  Random,
  zooModel,
} from '@ecavg/models';
import { fineTuneSchema, guardSchema, type JudgingConfig, referenceSchema } from './config.js';
import { chosenScore, NegativeTransferGuard, type Verdict } from './guard.js';
import { Ingredients } from './ingredients.js';
import { ReferenceSet } from './reference.js';
import { openReferenceSamples } from './referenceSamples.js';

const config = (extra: { readonly fineTune?: object; readonly guard?: object } = {}): JudgingConfig => ({
  data: referenceSchema.parse(undefined),
  fineTune: fineTuneSchema.parse(extra.fineTune),
  guard: guardSchema.parse(extra.guard ?? { tolerance: 0.01 }),
  engine: 'ort',
  threads: 1,
  model: { seed: 1 },
});

describe('the guard', () => {
  let artifact: Artifact;
  let good: Float32Array;
  const references: ReferenceSet[] = [];
  /** Decides on the plain mean of the edges' models, of which each counts the same. */
  const decide = async (
    base: Float32Array,
    edges: readonly Float32Array[],
    extra: Parameters<typeof config>[0] = {},
  ): Promise<Verdict> => {
    const settings = config(extra);
    const reference = await ReferenceSet.create(settings, artifact, await openReferenceSamples(settings));
    references.push(reference);
    const share = 1 / edges.length;
    const differences = edges.map((w) => w.map((v, i) => v - (base[i] as number)));
    const sum = new Float32Array(base.length);
    for (const d of differences) for (const [i, v] of d.entries()) sum[i] = (sum[i] as number) + share * v;
    const dot = (a: Float32Array, b: Float32Array): number => a.reduce((s, v, i) => s + v * (b[i] as number), 0);
    const updates = differences.map((d, k) => ({
      about: { edge: `edge-${k}`, samples: 1, steps: 1, staleness: 0, reliability: 1 },
      async addTo(accumulator: Float32Array, weight: number) {
        for (const [i, v] of d.entries()) accumulator[i] = (accumulator[i] as number) + weight * v;
      },
    }));
    const combined = {
      difference: sum,
      shares: edges.map(() => share),
      norms: differences.map((d) => Math.sqrt(dot(d, d))),
      cosines: differences.map((d) => dot(d, sum) / Math.sqrt(dot(d, d) * dot(sum, sum)) || 0),
      clipped: 0,
    };
    const ingredients = new Ingredients({ ...artifact, weights: base }, updates, combined, () => undefined);
    const average = base.map((w, i) => w + (sum[i] as number));
    const fineTune = await reference.fineTuning(ingredients, 1);
    return new NegativeTransferGuard(reference, settings).decide({ round: 1, base, average, ingredients, fineTune });
  };
  const noisy = (w: Float32Array, scale: number, seed: number): Float32Array => {
    const random = new Random(seed, 'damage');
    return w.map((v) => v + scale * random.normal());
  };
  const OFF = { epochs: 0 };

  before(async () => {
    const { data, split } = openData(config().data);
    artifact = await prepareArtifact(zooModel('mlp', { input: data.shape, classes: 10, seed: 1 }), {
      loss: 'cross-entropy',
      batch: 32,
      sample: data.shape,
    });
    const trainer = await OrtTrainer.create(artifact.train);
    trainer.setWeights(artifact.weights);
    await trainer.train(
      { data, indices: split.train.subarray(0, 3000) },
      { epochs: 3, learningRate: 0.05, momentum: 0.9, seed: 1 },
    );
    good = trainer.getWeights();
    await trainer.release();
  });
  after(async () => {
    for (const j of references) await j.release();
  });

  test('takes the better of average and fine-tuned', async () => {
    const verdict = await decide(artifact.weights, [good]);
    assert.notEqual(verdict.decision, 'kept-previous');
    const [first] = verdict.attempts;
    const { accuracy } = chosenScore(verdict);
    assert.equal(accuracy, Math.max(first.average.accuracy, first.fineTuned?.accuracy ?? 0));
    assert.ok(accuracy > verdict.previous.accuracy);
    assert.ok(Math.abs(verdict.indicators.overPrevious - (accuracy - verdict.previous.accuracy)) < 1e-12);
  });

  test('mends a damaged average by fine-tuning where that is enough', async () => {
    const settings = { fineTune: { epochs: 10, learningRate: 0.05 }, guard: { tolerance: 0.05 } };
    const verdict = await decide(good, [noisy(good, 0.05, 1)], settings);
    assert.equal(verdict.decision, 'fine-tuned');
    const [first] = verdict.attempts;
    assert.ok((first.fineTuned?.accuracy ?? 0) > first.average.accuracy);
    assert.equal(verdict.attempts.length, 1);
  });

  test('matches units and averages again where edges come from different places', async () => {
    const groups = await permutationGroups(artifact.model, artifact.info.input.shape.slice(1));
    const shuffled = [1, 2, 3].map((seed) => {
      const weights = noisy(good, 0.002, seed);
      for (const group of groups) {
        const order = new Random(seed, 'order').shuffle(Int32Array.from({ length: group.size }, (_, i) => i));
        permute(artifact.layout, weights, group, order);
      }
      return weights;
    });
    const verdict = await decide(good, [noisy(good, 0.002, 4), ...shuffled], { fineTune: OFF });
    assert.equal(verdict.decision, 'average');
    assert.deepEqual(
      verdict.attempts.map((a) => a.rung),
      ['aggregate', 'realigned'],
    );
    assert.ok(chosenScore(verdict).accuracy > verdict.previous.accuracy - 0.01);
    assert.ok(
      Number.isFinite(verdict.indicators.lossBarrier) &&
        verdict.indicators.cosineLeast <= verdict.indicators.cosineMean,
    );
  });

  test('leaves out the edge that does harm, and says who', async () => {
    const fair = [1, 2, 3, 4].map((seed) => noisy(good, 0.005, seed));
    const hostile = good.map((w) => -4 * w);
    const verdict = await decide(good, [...fair.slice(0, 2), hostile, ...fair.slice(2)], { fineTune: OFF });
    assert.equal(verdict.decision, 'average');
    assert.deepEqual([verdict.attempts.at(-1)?.rung, verdict.attempts.at(-1)?.leftOut], ['left-out', ['edge-2']]);
    assert.equal(verdict.indicators.normOutliers, 1);
    assert.ok(verdict.indicators.overPrevious < -0.01);
    assert.ok((verdict.indicators.overBestEdge ?? 0) < -0.01);
  });

  test('goes a shorter way where the whole step does harm', async () => {
    const verdict = await decide(good, [noisy(good, 0.3, 7)], { fineTune: OFF, guard: { tolerance: 0.02 } });
    assert.equal(verdict.attempts.at(-1)?.rung, 'shrunk');
    assert.equal(verdict.decision, 'average');
    assert.ok(chosenScore(verdict).accuracy >= verdict.previous.accuracy - 0.02);
  });

  test('keeps the previous version where nothing mends the candidate', async () => {
    const broken = good.map((w, i) => (i % 2 ? -30 * w : 30 * w));
    const verdict = await decide(good, [broken], { fineTune: OFF });
    assert.equal(verdict.decision, 'kept-previous');
    assert.equal(verdict.weights, undefined);
    assert.deepEqual(chosenScore(verdict), verdict.previous);
    // The same weights are no loss at all.
    assert.equal((await decide(good, [good], { fineTune: OFF })).decision, 'average');
  });

  test('the ladder is as configured, its mends in the order in which they are tried', async () => {
    assert.deepEqual(guardSchema.parse({}).ladder, ['realign', 'leave-out', 'shrink']);
    assert.equal(guardSchema.safeParse({ ladder: ['pray'] }).success, false);
    const broken = good.map((w) => -w);
    const verdict = await decide(good, [broken], { fineTune: OFF, guard: { ladder: [] } });
    assert.deepEqual([verdict.decision, verdict.attempts.length], ['kept-previous', 1]);
  });

  test('what is not finite is never taken', async () => {
    const broken = good.slice();
    broken[0] = Number.NaN;
    assert.equal((await decide(good, [broken], { fineTune: OFF })).decision, 'kept-previous');
  });

  test('an average so large that tuning it diverges is refused, and the round can close', async () => {
    const verdict = await decide(good, [good.map((w) => w * 1e30)]);
    assert.equal(verdict.decision, 'kept-previous');
    assert.equal(verdict.attempts[0].fineTuned, undefined);
  });

  test('the samples it tunes on and references on are disjoint, and none is an edge’s', async () => {
    const { split } = openData(config().data);
    const { tuning, guard } = await openReferenceSamples(config());
    const all = [...tuning.indices, ...guard.indices, ...split.train, ...split.test];
    assert.equal(new Set(all).size, all.length);
  });
});
