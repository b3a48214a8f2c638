import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { EdgeRecords } from './edgeRecords.js';
import { availability, type EdgeRecord, SELECTIONS, selectEdges, usefulness, wantedCount } from './selection.js';

const fleet = (n: number): string[] => Array.from({ length: n }, (_, i) => `edge-${String(i).padStart(3, '0')}`);

describe('selection', () => {
  test('every policy asks as many as are wanted and more, each once, all online, the same for the same seed', () => {
    const cases = fc.record({
      policy: fc.constantFrom(...SELECTIONS.names),
      online: fc.integer({ min: 1, max: 60 }),
      count: fc.integer({ min: 0, max: 40 }),
      overSelect: fc.double({ min: 1, max: 3, noNaN: true }),
      answered: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 60, maxLength: 60 }),
    });
    fc.assert(
      fc.property(cases, ({ policy, online, count, overSelect, answered }) => {
        const selection = { policy, count, overSelect };
        const edges = fleet(online);
        const records = new Map(
          edges.map((e, i): [string, EdgeRecord] => {
            const n = answered[i] as number;
            return [e, { asked: 5, answered: n, ...(n > 0 && { samples: 10, loss: i, seconds: 1, lastRound: 1 }) }];
          }),
        );
        const chosen = selectEdges(edges, records, selection, 4, 1);
        const { wanted, asked } = wantedCount(online, selection);
        assert.equal(chosen.length, asked);
        assert.equal(new Set(chosen).size, asked);
        assert.ok(chosen.every((e) => edges.includes(e)) && wanted <= asked);
        assert.deepEqual(selectEdges(edges, records, selection, 4, 1), chosen);
      }),
    );
  });

  test('availability: an edge that answers is asked more often than one that does not, and that one still at times', () => {
    const edges = fleet(10);
    const records = new Map(edges.map((e, i): [string, EdgeRecord] => [e, { asked: 20, answered: i < 5 ? 20 : 1 }]));
    const times = new Map(edges.map((e) => [e, 0]));
    for (let round = 1; round <= 400; round++)
      for (const e of selectEdges(edges, records, { policy: 'availability', count: 3, overSelect: 1 }, round, 7))
        times.set(e, (times.get(e) as number) + 1);
    const of = (from: number): number[] => edges.slice(from, from + 5).map((e) => times.get(e) as number);
    assert.ok(Math.min(...of(0)) > 2 * Math.max(...of(5)), String([...times.values()]));
    assert.ok(Math.min(...of(5)) > 0);
    assert.equal(availability({ asked: 20, answered: 20 }), 21 / 22);
  });

  test('usefulness: many samples with a large loss count, slowness costs, and new ones get their places', () => {
    const base = { asked: 3, answered: 3, samples: 100, loss: 1, seconds: 10, lastRound: 3 };
    const of = (extra: Partial<EdgeRecord>): number => usefulness({ ...base, ...extra }, 3, 10);
    assert.ok(of({ loss: 2 }) > of({}) && of({ samples: 200 }) > of({}));
    // Twice as slow as wanted: (1/2)^2 of the utility.
    assert.ok(Math.abs(of({ seconds: 20 }) / of({}) - 0.25) < 1e-12);
    assert.ok(of({ lastRound: 1 }) > of({}));
    const edges = fleet(10);
    const records = new Map(edges.slice(0, 8).map((e, i): [string, EdgeRecord] => [e, { ...base, loss: i }]));
    const chosen = selectEdges(edges, records, { policy: 'usefulness', count: 5, overSelect: 1 }, 4, 1);
    assert.ok(chosen.some((e) => ['edge-008', 'edge-009'].includes(e)));
    assert.deepEqual(chosen.slice(0, 4), ['edge-004', 'edge-005', 'edge-006', 'edge-007']);
  });

  test('records are kept: who was asked, who answered, how sound', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ecavg-records-'));
    const records = await EdgeRecords.open(folder);
    records.served('a', true);
    records.served('b', false);
    await records.closed({ round: 4, participants: ['a', 'b'] }, [
      { edge: 'a', samples: 7, metrics: { loss: 0.5, seconds: 2 } },
    ]);
    for (const r of [records, await EdgeRecords.open(folder)]) {
      const { asked, answered, samples, loss, seconds, lastRound } = r.all.get('a') as EdgeRecord;
      assert.deepEqual([asked, answered, samples, loss, seconds, lastRound], [1, 1, 7, 0.5, 2, 4]);
      assert.equal(r.all.get('b')?.answered, 0);
      assert.deepEqual([r.reliability('a'), r.reliability('b'), r.reliability('new')], [2 / 3, 1 / 3, 1 / 2]);
    }
    rmSync(folder, { recursive: true });
  });
});
