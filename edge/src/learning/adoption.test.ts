import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { edgeConfigSchema } from '../config.js';
import { chooseModel } from './adoption.js';

/** Accuracy falls with the distance of the first weight from `best`. */
const means = (best: number, tuned?: Float32Array) => ({
  accuracy: async (w: Float32Array) => 1 - Math.abs((w[0] as number) - best),
  tune: async () => tuned,
});
const adopt = (extra: object) => edgeConfigSchema.parse({ edge: 'e', model: 'm', dataDir: 'x', adopt: extra }).adopt;
const [version, mine] = [Float32Array.of(0), Float32Array.of(1)];

describe('what a gateway makes of a version', () => {
  test('always takes it, unless-worse within the tolerance, keep never', async () => {
    const choose = (policy: string, best: number, tolerance = 0.05) =>
      chooseModel(adopt({ policy, tolerance }), version, 1 - best, mine, best, means(best));
    assert.equal((await choose('always', 1)).weights, version);
    assert.equal((await choose('unless-worse', 0.52)).adopted, true);
    const kept = await choose('unless-worse', 0.6);
    assert.deepEqual([kept.adopted, kept.weights, kept.accuracy], [false, mine, 0.6]);
    assert.equal((await choose('keep', 0)).weights, mine);
  });

  test('the first version is taken whatever the policy', async () => {
    for (const policy of ['always', 'unless-worse', 'blend', 'keep']) {
      const first = await chooseModel(adopt({ policy }), version, 0.1, undefined, undefined, means(1));
      assert.deepEqual([first.adopted, first.weights], [true, version]);
    }
  });

  test('blend finds the best mixture, which is never worse than either; the ends are the version and the own model', async () => {
    const blend = (best: number) => chooseModel(adopt({ policy: 'blend' }), version, 1 - best, mine, best, means(best));
    const middle = await blend(0.3);
    assert.ok(Math.abs((middle.lambda ?? 0) - 0.3) < 1e-9 && Math.abs((middle.weights[0] as number) - 0.3) < 1e-6);
    assert.equal(middle.adopted, true);
    const own = await blend(1);
    assert.deepEqual([own.lambda, own.adopted, own.weights], [1, false, mine]);
    const whole = await blend(0);
    assert.deepEqual([whole.lambda, whole.weights], [0, version]);
  });

  test('local fine-tuning is taken where it helps, and can save an adoption', async () => {
    const settings = adopt({ policy: 'unless-worse', tolerance: 0 });
    const better = Float32Array.of(0.95);
    const saved = await chooseModel(settings, version, 0, mine, 0.9, means(1, better));
    assert.deepEqual([saved.adopted, saved.weights], [true, better]);
    assert.ok(Math.abs((saved.tuned ?? 0) - 0.95) < 1e-6);
    const worse = await chooseModel(settings, version, 1, undefined, undefined, means(0, better));
    assert.equal(worse.weights, version);
  });
});
