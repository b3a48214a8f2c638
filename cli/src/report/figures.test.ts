import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReceptionRecord, RoundRecord } from '@ecavg/cloud';
import { adviceOf } from './advice.js';
import { figuresOf } from './figures.js';
import { reportPage } from './page.js';

const score = (average: number, fineTuned = average) => ({ average, fineTuned });
const round = (n: number, about: Partial<RoundRecord>): RoundRecord => ({
  at: Date.UTC(2026, 0, n),
  round: n,
  decision: 'fine-tuned',
  version: n + 1,
  participants: ['a', 'b', 'c'],
  accepted: ['a', 'b'],
  previous: 0.8,
  ...score(0.8),
  accuracy: 0.8,
  attempts: [{ rung: 'aggregate', leftOut: [], ...score(0.8) }],
  bytes: 1000,
  float32Bytes: 40_000,
  seconds: 2,
  ...about,
});
const refused = { decision: 'kept-previous', average: 0.5, fineTuned: 0.6, accuracy: 0.8 } as const;
const mended = {
  average: 0.5,
  fineTuned: 0.55,
  accuracy: 0.82,
  attempts: [
    { rung: 'aggregate', leftOut: [], ...score(0.5) },
    { rung: 'left-out', leftOut: ['c'], ...score(0.82) },
  ],
};
const reception = (version: number, before: number, after: number): ReceptionRecord => ({
  at: version,
  version,
  outcome: 'published',
  hurt: after < before - 0.05 ? ['a'] : [],
  edges: [{ edge: 'a', before, after }],
});

describe('the evaluation of a run', () => {
  test('counts negative transfer, and how it ended', () => {
    const f = figuresOf(
      [
        round(1, { previous: 0.1, average: 0.5, accuracy: 0.8 }),
        round(2, refused),
        round(3, mended),
        round(4, { average: 0.5 }),
      ],
      [],
      0.01,
    );
    assert.deepEqual(
      f.negative.map((e) => [e.round, e.ended, e.leftOut]),
      [
        [2, 'refused', []],
        [3, 'mended', ['c']],
        [4, 'fine-tuning', []],
      ],
    );
    assert.deepEqual([f.start, f.end, f.best, f.bytes, f.float32Bytes], [0.1, 0.8, 0.82, 4000, 160_000]);
  });

  test("gives each gateway's change, answers and harm", () => {
    const f = figuresOf([round(1, {}), round(2, {})], [reception(2, 0.5, 0.9), reception(3, 0.9, 0.6)], 0.01);
    assert.deepEqual(f.gateways[0], { edge: 'a', asked: 2, answered: 2, first: 0.5, last: 0.6, hurt: 1 });
    assert.deepEqual(f.gateways[2], { edge: 'c', asked: 2, answered: 0, first: undefined, last: undefined, hurt: 0 });
  });

  test('advises by what it finds, and says so where it finds nothing', () => {
    const many = (about: Partial<RoundRecord>): string =>
      adviceOf(
        figuresOf(
          [1, 2, 3, 4, 5, 6].map((n) => round(n, about)),
          [],
          0.01,
        ),
      ).join('\n');
    assert.match(many(refused), /6 of 6 rounds: the gateways' models drift apart[\s\S]*6 of 6 rounds were refused/);
    assert.match(many(mended), /Left out by the guard more than once: c \(6 times\)/);
    assert.match(many({}), /fewer than half of the rounds: c[\s\S]*last 5 rounds brought less than half a point/);
    const rising = [1, 2, 3, 4, 5].map((n) =>
      round(n, {
        accepted: ['a', 'b', 'c'],
        accuracy: 0.5 + n / 20,
        average: 0.5 + n / 20,
        fineTuned: 0.5 + n / 20,
        previous: 0.5,
      }),
    );
    assert.match(adviceOf(figuresOf(rising, [], 0.01)).join(), /^Nothing stands out/);
    assert.match(adviceOf(figuresOf([], [], 0.01)).join(), /^No round has closed/);
  });

  test('a page of no round, and of names that look like markup', () => {
    const about = { fleet: '<b>', model: 'm', architecture: 'mlp', simulated: true, madeAt: 0 };
    assert.match(reportPage(about, figuresOf([], [], 0.01)), /0 rounds/);
    const bad = round(1, { participants: ['</script><i>'], accepted: ['</script><i>'] });
    const page = reportPage(about, figuresOf([bad], [], 0.01));
    assert.ok(!page.includes('<b> /') && !page.includes('</script><i>') && page.includes('&lt;/script&gt;&lt;i&gt;'));
  });
});
