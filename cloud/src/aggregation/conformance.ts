import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type OptionValues, optionDefaults } from '@ecavg/runtime';
import type { Chosen } from './chosen.js';
import { type Combined, combineBy, TooFewUpdatesError, type Update } from './combine.js';
import { type Combiner, combinerSchema } from './combiner.js';
import { weighBy } from './weigh.js';
import { type Contribution, type Weighting, weightingSchema } from './weighting.js';

/** Promises that a combiner may be excused from, where its idea is another one. */
export type Excused =
  /** Updates that are all the same give that update (or, with the cloud's own difference, one of its direction). */
  | 'agreement'
  /** The order of updates does not matter. */
  | 'order';

/** Numbers in [0, 1), the same every time. */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const contribution = (k: number, draw: () => number): Contribution => ({
  edge: `edge-${k}`,
  samples: 1 + Math.floor(1000 * draw()),
  steps: 1 + Math.floor(50 * draw()),
  ...(k % 3 !== 1 && { labels: [Math.floor(9 * draw()), Math.floor(9 * draw()), Math.floor(9 * draw())] }),
  staleness: Math.floor(6 * draw()),
  reliability: draw(),
});

const updateOf = (row: Float32Array, about: Contribution): Update => ({
  about,
  async addTo(sum, weight) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + weight * (row[i] as number);
  },
});

function near(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, what);
  const scale = Math.max(1e-3, ...Array.from(expected, Math.abs));
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    assert.ok(Math.abs(a - e) <= 1e-3 * scale, `${what}: value ${i} is ${a}, not ${e}`);
  }
}

const finite = (values: ArrayLike<number>, what: string): void =>
  assert.ok(Array.from(values).every(Number.isFinite), `${what} are not all finite`);

/** Freezes what a record is given, so that a change of it throws. */
function frozen<T>(value: T): T {
  if (ArrayBuffer.isView(value) || typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}

/** Every option's default; and, where a record has a trial, that. */
const optionSets = (record: { options: Combiner['options']; trial?: Partial<OptionValues> }): OptionValues[] => {
  const defaults = optionDefaults(record.options);
  return record.trial ? [defaults, { ...defaults, ...record.trial } as OptionValues] : [defaults];
};

/**
 * Registers tests with node:test that hold a combiner against what the cloud relies on.
 * @param name as settings would give it.
 * @param excused promises that its idea does not keep.
 */
export function describeCombiner(name: string, record: Combiner, excused: readonly Excused[] = []): void {
  describe(`combiner ${name}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'ecavg-conformance-'));
    after(() => rmSync(folder, { recursive: true }));
    const chosen = (options: OptionValues): Chosen => ({ name, record, options, least: record.least(options) });
    const run = (updates: readonly Update[], length: number, options: OptionValues, own?: Float32Array) => {
      const about = updates.map((u) => u.about);
      const weighted = frozen(weighBy([], about, {}));
      return combineBy(chosen(options), { updates: frozen(updates), length, weighted, clip: 0, folder, own });
    };
    /** Every case: options, and how many updates of how many values. */
    const each = async (
      check: (at: { options: OptionValues; rows: Float32Array[]; own: Float32Array; what: string }) => Promise<void>,
    ): Promise<void> => {
      for (const options of optionSets(record)) {
        for (const more of [0, 1, 4]) {
          for (const length of [1, 7, 300]) {
            const count = record.least(options) + more;
            const draw = drawn(count * 1000 + length);
            const row = (): Float32Array => Float32Array.from({ length }, () => draw() - 0.4);
            const what = `${count} updates of ${length} values`;
            await check({ options, rows: Array.from({ length: count }, row), own: row(), what });
          }
        }
      }
    };
    const updatesOf = (rows: readonly Float32Array[]): Update[] => {
      const draw = drawn(rows.length);
      return rows.map((row, k) => updateOf(row, contribution(k, draw)));
    };

    test('has the shape of a record, with all its parts', () => {
      const result = combinerSchema.safeParse(record);
      assert.ok(result.success, result.error?.message);
      for (const options of optionSets(record)) {
        const least = record.least(frozen(options));
        assert.ok(Number.isInteger(least) && least >= 1, `least is ${least}`);
      }
    });

    test('gives a finite difference of the right length, and a finite share of each update', () =>
      each(async ({ options, rows, own, what }) => {
        const { difference, shares } = await run(updatesOf(rows), own.length, options, own);
        assert.equal(difference.length, own.length, what);
        assert.equal(shares.length, rows.length, what);
        finite(difference, `${what}: values of the difference`);
        finite(shares, `${what}: shares`);
      }));

    test('gives the same for the same updates', () =>
      each(async ({ options, rows, own, what }) => {
        const both = [0, 1].map(() => run(updatesOf(rows), own.length, options, own));
        const [a, b] = (await Promise.all(both)) as [Combined, Combined];
        assert.deepEqual(a.difference, b.difference, what);
        assert.deepEqual(a.shares, b.shares, what);
      }));

    test('bears updates that are all zero, and one of huge length', () =>
      each(async ({ options, rows, own, what }) => {
        const zeros = rows.map((row) => row.map(() => 0));
        finite((await run(updatesOf(zeros), own.length, options, own)).difference, `${what}, zero: values`);
        const huge = rows.map((row, k) => (k === 0 ? row.map((v) => v * 1e18) : row));
        finite((await run(updatesOf(huge), own.length, options, own)).difference, `${what}, one huge: values`);
        const still = await run(updatesOf(rows), own.length, options, new Float32Array(own.length));
        finite(still.difference, `${what}, with a zero difference of the cloud's: values`);
      }));

    test('refuses fewer updates than it needs', async () => {
      for (const options of optionSets(record)) {
        const least = record.least(options);
        if (least === 1) continue;
        const rows = Array.from({ length: least - 1 }, () => Float32Array.of(1, 2));
        await assert.rejects(run(updatesOf(rows), 2, options, Float32Array.of(1, 2)), TooFewUpdatesError);
      }
    });

    if (!excused.includes('order'))
      test('the order of updates does not matter', () =>
        each(async ({ options, rows, own, what }) => {
          const updates = updatesOf(rows);
          const a = await run(updates, own.length, options, own);
          for (const other of [[...updates].reverse(), [...updates.slice(1), ...updates.slice(0, 1)]])
            near((await run(other, own.length, options, own)).difference, a.difference, what);
        }));

    if (!excused.includes('agreement'))
      test('updates that agree give what they agree on', () =>
        each(async ({ options, rows, own, what }) => {
          const same = rows.map(() => own);
          const { difference } = await run(updatesOf(same), own.length, options, own);
          near(difference, own, what);
        }));

    if (record.kind === 'coordinates')
      test('the result of a coordinate does not depend on which others are in a block, and rows stay as they are', () =>
        each(async ({ options, rows, own, what }) => {
          const updates = updatesOf(rows).map((u) => u.about);
          const given = frozen({ weights: rows.map(() => 1 / rows.length), updates, options });
          const before = rows.map((row) => row.slice());
          const whole = new Float32Array(own.length);
          record.combine(rows, whole, given);
          assert.deepEqual(rows, before, `${what}: rows were changed`);
          const parts = new Float32Array(own.length).fill(Number.NaN);
          const cut = own.length >> 1;
          for (const [from, to] of [
            [0, cut],
            [cut, own.length],
          ] as const) {
            const block = rows.map((row) => row.subarray(from, to));
            if (to > from) record.combine(block, parts.subarray(from, to), given);
          }
          assert.deepEqual(parts, whole, what);
        }));

    if (record.kind === 'streaming')
      test('a thousand updates are decoded one after the other, once each', async () => {
        let [open, most, decoded] = [0, 0, 0];
        const draw = drawn(1);
        const updates = Array.from({ length: 1000 }, (_, k): Update => {
          const inner = updateOf(Float32Array.of(1, 2, 3), contribution(k, draw));
          return {
            about: inner.about,
            async addTo(sum, weight) {
              open++;
              decoded++;
              most = Math.max(most, open);
              await inner.addTo(sum, weight);
              open--;
            },
          };
        });
        for (const options of optionSets(record)) {
          decoded = 0;
          await run(updates, 3, options);
          assert.deepEqual([most, decoded], [1, 1000]);
        }
      });
  });
}

/**
 * Registers tests with node:test that hold a weighting against what the cloud relies on.
 * @param name as settings would give it.
 */
export function describeWeighting(name: string, record: Weighting): void {
  describe(`weighting ${name}`, () => {
    const options = frozen(optionDefaults(record.options));
    const lists = [1, 2, 7, 40].map((count) => {
      const draw = drawn(count);
      return Array.from({ length: count }, (_, k) => contribution(k, draw));
    });
    /** Edges as they may be: new, of bad repute, late, without labels, with one sample or very many. */
    const extreme: Contribution[] = [
      { edge: 'a', samples: 1, steps: 1, staleness: 0, reliability: 0 },
      { edge: 'b', samples: 1e12, steps: 1e9, labels: [0, 0], staleness: 18, reliability: 1 },
      { edge: 'c', samples: 1, steps: 1, labels: [1, 0, 0, 0], staleness: 3, reliability: 0.5 },
    ];
    const all = frozen([...lists, extreme, extreme.slice(0, 1), extreme.slice(1, 2)]);
    const values = (got: readonly number[], count: number, what: string): void => {
      assert.ok(Array.isArray(got) && got.length === count, `${what}: ${got} are not ${count} numbers`);
      assert.ok(
        got.every((v) => v >= 0 && v < Number.POSITIVE_INFINITY),
        `${what}: ${got}`,
      );
    };

    test('has the shape of a record, with all its parts', () => {
      const result = weightingSchema.safeParse(record);
      assert.ok(result.success, result.error?.message);
    });

    test('shares, factors and scales are finite numbers of at least 0, one for each update', () => {
      for (const updates of all) {
        const weights = frozen(updates.map(() => 1 / updates.length));
        if (record.shares) values(record.shares(updates, options), updates.length, 'shares');
        for (const u of record.factor ? updates : []) values([record.factor?.(u, options) as number], 1, 'factor');
        if (record.scales) values(record.scales(updates, weights, options), updates.length, 'scales');
      }
    });

    test('weights sum to 1, and an update alone has all of it', () => {
      for (const updates of all) {
        const { weights } = weighBy([[name, record]], updates, options);
        const sum = weights.reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) < 1e-9, `they sum to ${sum}`);
      }
    });

    test('the order of updates does not matter, and equal updates count alike', () => {
      for (const updates of all) {
        const a = weighBy([[name, record]], updates, options);
        const b = weighBy([[name, record]], [...updates].reverse(), options);
        near([...b.weights].reverse(), a.weights, 'weights');
        near([...b.scales].reverse(), a.scales, 'scales');
        const twice = weighBy([[name, record]], [updates[0], updates[0]] as Contribution[], options);
        near(twice.weights, [0.5, 0.5], 'weights of two equal updates');
      }
    });
  });
}
