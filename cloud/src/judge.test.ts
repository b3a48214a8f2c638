import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Artifact, OrtTrainer, openData, prepareArtifact, Random, zooModel } from '@ecavg/models';
import { cloudConfigSchema } from './config.js';
import { Judge } from './judge.js';

const config = (extra: object = {}) =>
  cloudConfigSchema.parse({ dataDir: 'x', model: { id: 'm' }, guard: { tolerance: 0.01 }, ...extra });

describe('the guard', () => {
  let artifact: Artifact;
  let good: Float32Array;
  const judges: Judge[] = [];
  const judge = async (extra?: object): Promise<Judge> => {
    const j = await Judge.create(config(extra), artifact, Judge.reference(config(extra)));
    judges.push(j);
    return j;
  };

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
    for (const j of judges) await j.release();
  });

  test('takes the better of average and fine-tuned', async () => {
    const verdict = await (await judge()).decide(artifact.weights, good, 1);
    assert.notEqual(verdict.decision, 'kept-previous');
    const chosen = verdict.decision === 'fine-tuned' ? verdict.fineTuned : verdict.average;
    assert.ok(chosen && chosen.accuracy >= Math.max(verdict.average.accuracy, verdict.fineTuned?.accuracy ?? 0));
    assert.ok(chosen.accuracy > verdict.previous.accuracy);
  });

  test('mends a damaged average by fine-tuning where that is enough', async () => {
    const random = new Random(1, 'damage');
    const damaged = good.map((w) => w + 0.05 * random.normal());
    const verdict = await (
      await judge({ fineTune: { epochs: 10, learningRate: 0.05 }, guard: { tolerance: 0.05 } })
    ).decide(good, damaged, 1);
    assert.equal(verdict.decision, 'fine-tuned');
    assert.ok((verdict.fineTuned?.accuracy ?? 0) > verdict.average.accuracy);
  });

  test('keeps the previous version where the candidate is worse by more than the tolerance', async () => {
    const j = await judge({ fineTune: { epochs: 0 } });
    const verdict = await j.decide(
      good,
      good.map((w, i) => (i % 2 ? -w : w)),
      1,
    );
    assert.equal(verdict.decision, 'kept-previous');
    assert.equal(verdict.weights, undefined);
    assert.equal(verdict.fineTuned, undefined);
    // The same weights are no loss at all.
    assert.equal((await j.decide(good, good, 2)).decision, 'average');
  });

  test('an average that is not finite is never taken', async () => {
    const broken = good.slice();
    broken[0] = Number.NaN;
    const verdict = await (await judge({ fineTune: { epochs: 0 } })).decide(artifact.weights, broken, 1);
    assert.equal(verdict.decision, 'kept-previous');
  });

  test('an average so large that tuning it diverges is refused, and the round can close', async () => {
    const verdict = await (await judge()).decide(
      good,
      good.map((w) => w * 1e30),
      1,
    );
    assert.equal(verdict.decision, 'kept-previous');
    assert.equal(verdict.fineTuned, undefined);
  });

  test('the samples it tunes on and judges on are disjoint, and none is an edge’s', () => {
    const { split } = openData(config().data);
    const { tuning, guard } = Judge.reference(config());
    const all = [...tuning.indices, ...guard.indices, ...split.train, ...split.test];
    assert.equal(new Set(all).size, all.length);
  });
});
