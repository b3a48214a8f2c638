import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Artifact, ModelError } from '@ecavg/models';
import type { RoundMessage } from '@ecavg/protocol';
import { createLogger } from '@ecavg/runtime';
import type { OutboxEntry } from '../uplink/edgeStore.js';
import { RoundTraining } from './roundTraining.js';

const log = createLogger('test', { level: 'silent', format: 'json' });
const artifact = { sha256: 'base' } as Artifact;
const round = (number: number, more: Partial<RoundMessage> = {}): RoundMessage =>
  ({ round: number, state: 'open', base: { version: 1, sha256: 'base' }, ...more }) as RoundMessage;

/** A gateway in which the training takes until `finish`, or until it is stopped. */
function gateway(more: { waitMs?: number; fails?: Error; ready?: boolean } = {}) {
  const said: string[] = [];
  const now = {
    round: undefined as RoundMessage | undefined,
    artifact: artifact as Artifact | undefined,
    waits: false,
  };
  let finish: () => void = () => undefined;
  const training = new RoundTraining({
    edge: 'e',
    learner: {
      train: async ({ round: { round: number }, signal }) => {
        said.push(`trains ${number}`);
        await new Promise<void>((done, fail) => {
          finish = done;
          signal.addEventListener('abort', () => fail(signal.reason));
          if (more.fails) fail(more.fails);
        });
        return { entry: { round: number } as OutboxEntry, values: {} };
      },
    },
    governor: { wait: async () => more.waitMs ?? 0 },
    store: { memory: async () => ({}) },
    data: { ready: more.ready ?? true },
    log,
    now: () => now,
    budget: () => undefined,
    put: async (entry) => void said.push(`keeps ${entry.round}`),
    trained: async (of) => void said.push(`reports ${of.round}`),
    schedule: () => void said.push('later'),
    changed: () => undefined,
  });
  const hear = (message: RoundMessage): Promise<void> => {
    now.round = message;
    training.heard(message);
    return training.begin();
  };
  return { training, said, now, hear, finish: () => finish() };
}

describe('a gateway’s part in rounds', () => {
  test('an open round is trained once, from the version that it names, where the gateway is asked', async () => {
    const { said, now, hear, finish, training } = gateway();
    await hear(round(1, { state: 'closed' }));
    await hear(round(1, { participants: ['another'] }));
    await hear(round(1, { base: { version: 2, sha256: 'another' } }));
    now.artifact = undefined;
    await hear(round(1));
    now.artifact = artifact;
    now.waits = true;
    await hear(round(1));
    assert.deepEqual(said, []);
    now.waits = false;
    const trained = hear(round(1, { participants: ['e'] }));
    await sleep(0);
    assert.equal(training.running, true);
    finish();
    await trained;
    await hear(round(1));
    assert.deepEqual([said, training.running], [['trains 1', 'keeps 1', 'reports 1'], false]);
    // An update of an earlier run had its receipt.
    training.answered(3);
    await hear(round(3));
    assert.equal(said.length, 3);
  });

  test('without enough samples it takes no part', async () => {
    const { said, hear } = gateway({ ready: false });
    await hear(round(1));
    assert.deepEqual(said, []);
  });

  test('it ends with its round; in asynchronous rounds it goes on', async () => {
    for (const [next, ends] of [
      [round(2), true],
      [round(1, { state: 'closed' }), true],
      [round(1), false],
      [round(2, { mode: 'async' }), false],
      [round(2, { mode: 'async', state: 'closed' }), true],
    ] as const) {
      const { said, hear, finish, training } = gateway();
      const trained = hear(round(1));
      await sleep(0);
      training.heard(next);
      finish();
      await trained;
      assert.deepEqual(said, ends ? ['trains 1'] : ['trains 1', 'keeps 1', 'reports 1'], JSON.stringify(next));
    }
  });

  test('what can not be trained sits the round out; another failure is for another try', async () => {
    const sick = gateway({ fails: new ModelError('ECAVG_TRAINING_DIVERGED', 'diverged') });
    await sick.hear(round(1));
    await sick.hear(round(1));
    assert.deepEqual(sick.said, ['trains 1']);
    const full = gateway({ fails: new Error('the disk is full') });
    await assert.rejects(full.hear(round(1)), /full/);
    await assert.rejects(full.training.begin(), /full/);
    assert.deepEqual(full.said, ['trains 1', 'trains 1']);
  });

  test('it waits where the governor says so, and asks again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { said, hear, training } = gateway({ waitMs: 10 });
    await hear(round(1));
    assert.deepEqual([said, training.running], [[], false]);
    t.mock.timers.tick(9);
    assert.deepEqual(said, []);
    t.mock.timers.tick(1);
    assert.deepEqual(said, ['later']);
    await hear(round(1));
    training.stop();
    t.mock.timers.tick(30);
    assert.deepEqual(said, ['later']);
  });
});
