import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Accepted, RoundState } from '../inbox/roundStore.js';
import type { Verdict } from '../judging/guard.js';
import { closeRound, type PipelineTools } from './pipeline.js';

const open: RoundState = {
  round: 7,
  phase: 'open',
  base: { version: 3, sha256: 'b' },
  openedAt: 0,
  deadlineAt: 1,
  participants: ['a', 'b'],
  selected: false,
  epochs: 1,
};
const score = { accuracy: 0.75, loss: 0.5 } as Verdict['previous'];
const attempt = { rung: 'aggregate', leftOut: [], average: score, fineTuned: undefined } as const;
const verdictOf = (weights: Float32Array | undefined): Verdict => ({
  decision: weights ? 'average' : 'kept-previous',
  weights,
  previous: score,
  attempts: [attempt],
  indicators: {} as Verdict['indicators'],
});

/** Tools that do nothing but note what was asked of them; `fail` throws in one of them. */
function noting(about: { weights?: Float32Array; mode?: 'sync' | 'async'; registered?: number; fail?: string } = {}) {
  const done: string[] = [];
  const updates = [{ id: 'u', path: '', header: { edge: 'a', samples: 1 } }] as unknown as Accepted[];
  const base = { weights: new Float32Array(2) };
  const answers: Readonly<Record<string, unknown>> = {
    current: base,
    accepted: updates,
    aggregate: { weights: new Float32Array([1, 2]), ingredients: {}, state: {}, combined: {} },
    decide: verdictOf(about.weights),
    register: { version: { version: 4 } },
    registeredRound: about.registered,
    version: 4,
  };
  const tools = new Proxy({ mode: about.mode ?? 'sync' } as unknown as PipelineTools, {
    get(target, name: keyof PipelineTools) {
      if (name === 'mode') return target.mode;
      return (first?: { phase?: string }) => {
        if (name === about.fail) throw new Error('the power went');
        if (!['current', 'accepted', 'registeredRound', 'version'].includes(name))
          done.push(first?.phase ? `${name} ${first.phase}` : name);
        return answers[name];
      };
    },
  });
  return { tools, done };
}

const STAGES = ['save closing', 'announce closing', 'aggregate', 'fineTuning', 'decide', 'credit closing'];

describe('the pipeline of a round', () => {
  test('collects, combines, tunes, judges, registers, publishes and reports, in this order', async () => {
    const { tools, done } = noting({ weights: new Float32Array([1, 2]) });
    await closeRound(open, tools);
    assert.deepEqual(done, [...STAGES, 'register', 'publish', 'remember', 'finish', 'tell']);
  });

  test('registers and publishes nothing where the previous version is kept, and reports all the same', async () => {
    const { tools, done } = noting();
    await closeRound(open, tools);
    assert.deepEqual(done, [...STAGES, 'remember', 'finish', 'tell']);
  });

  test('tells edges of an asynchronous round nothing of its end', async () => {
    const { tools, done } = noting({ mode: 'async' });
    await closeRound(open, tools);
    assert.deepEqual(done.slice(0, 2), ['save closing', 'aggregate']);
  });

  test('goes through all of it again after a crash before its version was registered', async () => {
    const weights = new Float32Array([1, 2]);
    const first = noting({ weights, fail: 'decide' });
    await assert.rejects(closeRound(open, first.tools), /the power went/);
    assert.deepEqual(first.done, STAGES.slice(0, 4));
    const again = noting({ weights, registered: 6 });
    await closeRound({ ...open, phase: 'closing' }, again.tools);
    assert.deepEqual(again.done, [...STAGES, 'register', 'publish', 'remember', 'finish', 'tell']);
  });

  test('writes the end alone after a crash that came later', async () => {
    const { tools, done } = noting({ registered: 7 });
    await closeRound({ ...open, phase: 'closing' }, tools);
    assert.deepEqual(done, ['finish']);
  });
});
