import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RoundState } from '../inbox/roundStore.js';
import { type QuorumRules, standing } from './quorum.js';

const MINUTE = 60_000;
const round: RoundState = {
  round: 1,
  phase: 'open',
  base: { version: 1, sha256: 'b' },
  openedAt: 0,
  deadlineAt: MINUTE,
  participants: ['a', 'b', 'c', 'd', 'e'],
  wanted: 5,
  selected: false,
  epochs: 1,
};
const sync: QuorumRules = { mode: 'sync', quorum: 0.6, deadlineSeconds: 60, least: 1 };
const at = (now: number, answered: readonly string[], more: { rules?: object; state?: object; away?: string[] } = {}) =>
  standing({ ...round, ...more.state }, answered, (edge) => !(more.away ?? []).includes(edge), {
    rules: { ...sync, ...more.rules },
    now,
  });

describe('when a round may close', () => {
  test('all have answered; or a quorum, once the deadline is over or nobody is left to wait for', () => {
    assert.ok(at(1, ['a', 'b', 'c', 'd', 'e']).complete);
    assert.ok(!at(1, ['a', 'b', 'c']).complete);
    assert.ok(at(MINUTE, ['a', 'b', 'c']).complete);
    assert.ok(at(1, ['a', 'b', 'c'], { away: ['d', 'e'] }).complete);
    const few = at(MINUTE, ['a', 'b'], { away: ['d'] });
    assert.deepEqual(few, { accepted: 2, needed: 3, waiting: ['c', 'e'], complete: false, overdue: true });
  });

  test('not without the updates that the combiner needs', () => {
    const { needed, complete } = at(MINUTE, ['a', 'b', 'c'], { rules: { least: 5 } });
    assert.deepEqual([needed, complete], [5, false]);
  });

  test('asynchronous: the buffer is full, or the deadline is over', () => {
    const async = { rules: { mode: 'async' }, state: { wanted: 3 } };
    assert.ok(!at(1, ['a', 'a'], async).complete);
    assert.ok(at(1, ['a', 'a', 'b'], async).complete);
    assert.ok(at(MINUTE, ['a'], async).complete);
    assert.ok(!at(MINUTE, [], async).complete);
  });

  test('a deadline that is further away than a whole round is over: the clock was set back', () => {
    assert.ok(!at(-1000, []).overdue);
    assert.ok(at(-1001, []).overdue);
  });
});
