import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { codeOf } from '@ecavg/protocol/errors';
import fc from 'fast-check';
import { combine, type StrategyOptions, type Update } from './combine.js';
import { COMBINERS } from './combiners.js';
import { cosine, gramMatrix, squaredDistance } from './gram.js';
import { median } from './median.js';
import { clipFactors, coordinateMedian, fltrust, geometricMedian, multiKrum, trimmedMean } from './robust.js';
import { withBlocks } from './rows.js';
import { weigh } from './weigh.js';
import type { Contribution } from './weighting.js';
import {
  discoWeights,
  hingeStaleness,
  labelDivergence,
  polynomialStaleness,
  WEIGHTING_DEFAULTS,
} from './weightings.js';

const folder = mkdtempSync(join(tmpdir(), 'ecavg-aggregation-'));
after(() => rmSync(folder, { recursive: true }));

const about = (change: Partial<Contribution> = {}): Contribution => ({
  edge: 'e',
  samples: 10,
  steps: 5,
  staleness: 0,
  reliability: 1,
  ...change,
});
const near = (actual: ArrayLike<number>, expected: readonly number[], within = 1e-6): void => {
  assert.equal(actual.length, expected.length);
  expected.forEach((e, i) => {
    assert.ok(Math.abs((actual[i] as number) - e) <= within, `[${i}] is ${actual[i]}, not ${e}`);
  });
};
const update = (values: readonly number[], change: Partial<Contribution> = {}): Update => {
  const row = Float32Array.from(values);
  return {
    about: about(change),
    async addTo(to, weight) {
      for (let i = 0; i < row.length; i++) to[i] = (to[i] as number) + weight * (row[i] as number);
    },
  };
};
const strategy = (change: Partial<StrategyOptions> = {}): StrategyOptions => ({
  weighting: ['samples'],
  combiner: 'mean',
  trim: 0.2,
  hostile: 1,
  clip: 0,
  ...change,
});

describe('weightings', () => {
  test('samples, uniform, reliability and staleness multiply and sum to 1', () => {
    const updates = [about({ samples: 10, reliability: 0.5 }), about({ samples: 30, staleness: 3 })];
    near(weigh(updates, ['samples']).weights, [0.25, 0.75]);
    near(weigh(updates, []).weights, [0.25, 0.75]);
    near(weigh(updates, ['uniform']).weights, [0.5, 0.5]);
    // 0.25 * 0.5 : 0.75 * (3 + 1)^-0.5 = 0.125 : 0.375
    near(weigh(updates, ['reliability', 'staleness-polynomial']).weights, [0.25, 0.75]);
    near(weigh([about({ reliability: 0 }), about({ reliability: 0 })], ['reliability']).weights, [0.5, 0.5]);
    assert.throws(() => weigh([], ['samples']), RangeError);
  });

  test('staleness as FedAsync has it', () => {
    near(
      [0, 3, 15].map((t) => polynomialStaleness(t, 0.5)),
      [1, 0.5, 0.25],
    );
    near(
      [0, 4, 5, 6].map((t) => hingeStaleness(t, 10, 4)),
      [1, 1, 1 / 11, 1 / 21],
    );
  });

  test('FedDisco: the divergence is that of Kullback and Leibler, and one-sided edges lose weight', () => {
    near([labelDivergence([5, 5]), labelDivergence([10, 0]), labelDivergence([])], [0, Math.LN2, 0]);
    // 3/4 ln(3/4 * 2) + 1/4 ln(1/4 * 2)
    near([labelDivergence([3, 1])], [0.75 * Math.log(1.5) + 0.25 * Math.log(0.5)]);
    const updates = [about({ labels: [5, 5] }), about({ labels: [10, 0] })];
    // 0.5 + 0.1 and 0.5 - 0.5 ln 2 + 0.1
    const [a, b] = [0.6, 0.6 - 0.5 * Math.LN2];
    near(discoWeights(updates, WEIGHTING_DEFAULTS), [a / (a + b), b / (a + b)]);
    const hopeless = { ...WEIGHTING_DEFAULTS, discrepancyScale: 100 };
    near(discoWeights([about({ labels: [1, 0] }), about({ labels: [0, 3], samples: 30 })], hopeless), [0.25, 0.75]);
  });

  test('FedNova: equal steps are FedAvg; otherwise w + tau_eff sum p_k D_k / tau_k', () => {
    near(weigh([about(), about()], ['fednova']).scales, [1, 1]);
    const { weights, scales } = weigh([about({ steps: 2 }), about({ steps: 6, samples: 30 })], ['samples', 'fednova']);
    near(weights, [0.25, 0.75]);
    // tau_eff = 0.25 * 2 + 0.75 * 6 = 5
    near(scales, [5 / 2, 5 / 6]);
  });
});

describe('combiners', () => {
  const rows = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 })).chain(([n, length]) =>
    fc.array(fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: length, maxLength: length }), {
      minLength: n,
      maxLength: n,
    }),
  );

  test('a combiner that gives what is no finite number is named, and nothing is made of it', async () => {
    const given: unknown[] = [[Number.NaN, 1], [Number.POSITIVE_INFINITY, 0], ['0.5', '0.5'], [1], undefined];
    for (const [k, coefficients] of given.entries()) {
      const name = `wrong-${k}`;
      COMBINERS.add(name, {
        kind: 'streaming',
        about: 'wrong',
        source: '',
        options: {},
        least: () => 1,
        coefficients: () => coefficients,
      });
      const made = combine([update([1]), update([2])], 1, strategy({ combiner: name }), folder);
      await assert.rejects(made, (e) => codeOf(e) === 'ECAVG_AGGREGATE' && (e as Error).message.includes(name));
    }
  });

  test('mean is the weighted sum', async () => {
    const { difference, shares } = await combine(
      [update([1, 2], { samples: 10 }), update([-1, 4], { samples: 30 })],
      2,
      strategy(),
      folder,
    );
    near(difference, [-0.5, 3.5]);
    near(shares, [0.25, 0.75]);
  });

  test('partial sums of shards make the whole', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.nat(8), async (values, cut) => {
        const updates = values.map((v, k) => update(v, { samples: k + 1 }));
        const length = values[0]?.length ?? 0;
        const whole = await combine(updates, length, strategy(), folder);
        const total = updates.reduce((s, u) => s + u.about.samples, 0);
        const sum = new Float32Array(length);
        for (const shard of [updates.slice(0, cut), updates.slice(cut)]) {
          if (shard.length === 0) continue;
          const part = await combine(shard, length, strategy(), folder);
          const weight = shard.reduce((s, u) => s + u.about.samples, 0) / total;
          part.difference.forEach((v, i) => {
            sum[i] = (sum[i] as number) + weight * v;
          });
        }
        near(sum, [...whole.difference], 1e-5);
      }),
    );
  });

  // Multi-Krum breaks ties by order, and random updates have ties: it has a test of its own.
  for (const combiner of COMBINERS.names.filter((c) => c !== 'multi-krum')) {
    test(`${combiner}: the order of edges does not matter, and memory or disk neither`, async () => {
      await fc.assert(
        fc.asyncProperty(rows, async (values) => {
          const updates = values.map((v, k) =>
            update(
              v.map((x, i) => x + Math.sin(7 * k + 3 * i)),
              { samples: k + 1 },
            ),
          );
          const length = values[0]?.length ?? 0;
          const own = Float32Array.from({ length }, (_, i) => Math.cos(i));
          const options = strategy({ combiner, clip: 2 });
          const a = await combine(updates, length, options, folder, own);
          const b = await combine([...updates].reverse(), length, options, folder, own);
          near(b.difference, [...a.difference], 1e-3);
          near([...b.shares].reverse(), [...a.shares], 1e-3);
        }),
        { numRuns: 50 },
      );
    });
  }

  test('median and trimmed mean are those of each coordinate', () => {
    fc.assert(
      fc.property(rows, (values) => {
        const matrix = values.map((v) => Float32Array.from(v));
        const length = values[0]?.length ?? 0;
        const [mid, trimmed] = [new Float32Array(length), new Float32Array(length)];
        coordinateMedian(matrix, mid);
        trimmedMean(matrix, 0.2, trimmed);
        for (let i = 0; i < length; i++) {
          const column = matrix.map((r) => r[i] as number).sort((a, b) => a - b);
          const cut = Math.floor(column.length * 0.2);
          const kept = column.slice(cut, column.length - cut);
          near(
            [mid[i] as number, trimmed[i] as number],
            [median(column), kept.reduce((a, b) => a + b, 0) / kept.length],
            1e-5,
          );
        }
      }),
    );
  });

  test('inner products give distances and cosines', () => {
    const gram = gramMatrix([Float32Array.of(3, 0), Float32Array.of(0, 4), Float32Array.of(3, 3)]);
    near([squaredDistance(gram, 0, 1), squaredDistance(gram, 1, 2)], [25, 10]);
    near([cosine(gram, 0, 1), cosine(gram, 0, 2)], [0, Math.SQRT1_2]);
  });

  test('norm clipping shortens to a multiple of the median length', () => {
    const gram = gramMatrix([1, 2, 3, 100].map((x) => Float32Array.of(x)));
    near(clipFactors(gram, 2), [1, 1, 1, 5 / 100]);
  });

  test('multi-Krum leaves out the update that is far from the others', () => {
    const gram = gramMatrix([0, 0.1, 0.2, 0.1, 50].map((x) => Float32Array.of(x, -x)));
    near(multiKrum(gram, 1), [0.25, 0.25, 0.25, 0.25, 0]);
    const reversed = gramMatrix([50, 0.1, 0.2, 0.1, 0].map((x) => Float32Array.of(x, -x)));
    near(multiKrum(reversed, 1), [0, 0.25, 0.25, 0.25, 0.25]);
    assert.throws(() => multiKrum(gram, 2), /needs 7 updates; there are 5/);
  });

  test('the geometric median of a regular triangle is its centre, of a line its middle point', () => {
    const triangle = [Float32Array.of(0, 0), Float32Array.of(1, 0), Float32Array.of(0.5, Math.sqrt(3) / 2)];
    near(geometricMedian(gramMatrix(triangle), [1 / 3, 1 / 3, 1 / 3]), [1 / 3, 1 / 3, 1 / 3], 1e-6);
    const line = [Float32Array.of(-1), Float32Array.of(2), Float32Array.of(1000)];
    const beta = geometricMedian(gramMatrix(line), [1 / 3, 1 / 3, 1 / 3], 1000);
    assert.ok(Math.abs(-1 * (beta[0] ?? 0) + 2 * (beta[1] ?? 0) + 1000 * (beta[2] ?? 0) - 2) < 0.05, String(beta));
  });

  test('FLTrust: weights by the cosine, lengths of the cloud’s own update, none for the opposite way', () => {
    // D_0 = (2, 0); cosines 1, 1/sqrt 2 and -1.
    const gram = gramMatrix(
      [
        [5, 0],
        [1, 1],
        [-3, 0],
        [2, 0],
      ].map((v) => Float32Array.from(v)),
    );
    const total = 1 + Math.SQRT1_2;
    near(fltrust(gram), [(1 / total) * (2 / 5), ((Math.SQRT1_2 / total) * 2) / Math.SQRT2, 0], 1e-6);
  });

  test('one hostile update moves the mean, but not the robust combiners', async () => {
    const honest = [0.9, 1, 1.1, 1, 0.95, 1.05].map((x) => update([x, 1]));
    const all = [...honest, update([-1e6, 1e6])];
    const run = async (combiner: string, clip = 0): Promise<number> => {
      const own = Float32Array.of(1, 1);
      return (await combine(all, 2, strategy({ combiner, clip }), folder, own)).difference[0] as number;
    };
    assert.ok((await run('mean')) < -1e5);
    assert.ok(Math.abs((await run('mean', 2)) - 1) < 0.6, 'clipping bounds the harm');
    for (const combiner of ['median', 'trimmed-mean', 'multi-krum', 'geometric-median', 'fltrust'] as const) {
      assert.ok(Math.abs((await run(combiner)) - 1) < 0.15, combiner);
    }
    await assert.rejects(combine(honest, 2, strategy({ combiner: 'fltrust' }), folder), /own difference/);
  });

  test('large updates go through files, which are gone afterwards', async () => {
    const length = 150_001;
    const values = [1, 2, 3].map((k) => Float32Array.from({ length }, (_, i) => Math.sin(i * k)));
    const updates = values.map((v) => update([...v]));
    const seen = await withBlocks(
      updates,
      length,
      folder,
      async (blocks) => {
        const out = values.map(() => new Float32Array(length));
        for (let pass = 0; pass < 2; pass++)
          for await (const { from, rows } of blocks()) for (const [k, row] of rows.entries()) out[k]?.set(row, from);
        return out;
      },
      0,
    );
    assert.deepEqual(seen, values);
    assert.deepEqual(readdirSync(folder), []);
  });
});
