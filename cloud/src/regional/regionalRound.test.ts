import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Artifact } from '@ecavg/models';
import { encodeUpdate, ProtocolError, type RoundMessage, Signer, type StatusMessage, sha256Hex } from '@ecavg/protocol';
import { createLogger } from '@ecavg/runtime';
import { Members } from '../fleet/members.js';
import { RoundStore } from '../inbox/roundStore.js';
import { RegionalRound } from './regionalRound.js';
import type { PartialAggregate } from './upstreamStore.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-region-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
const BASE = 'a'.repeat(64);
const signer = Signer.generate();

const message = (round: number, more: Partial<RoundMessage> = {}): RoundMessage =>
  ({
    round,
    state: 'open',
    base: { version: 1, sha256: BASE },
    openedAt: 0,
    deadlineAt: 60_000,
    hyper: { epochs: 1 },
    ...more,
  }) as RoundMessage;

async function region(name: string) {
  const store = await RoundStore.open(join(root, name));
  const members = new Members();
  const said: string[] = [];
  const now = {
    newest: undefined as RoundMessage | undefined,
    serving: { artifact: { sha256: BASE } as Artifact } as { artifact: Artifact } | undefined,
    pending: undefined as PartialAggregate | undefined,
    settled: 0,
  };
  const round = new RegionalRound({
    config: { rounds: { minEdges: 1, quorum: 0.6, deadlineShare: 0.5, settleSeconds: 0 } },
    name: 'north',
    store,
    members,
    log,
    newest: () => now.newest,
    serving: () => now.serving,
    announce: async (of, state) => void said.push(`${state} ${of.round}`),
    pending: () => now.pending,
    settledRound: () => now.settled,
    make: async (_, of, updates) => {
      said.push(`sums ${updates.length} of ${of}`);
      return { id: `p${of}`, round: of, base: BASE, blob: new Uint8Array(1) };
    },
    put: async (partial) => {
      now.pending = partial;
    },
    schedule: () => undefined,
  });
  after(() => round.stop());
  const hear = (of: RoundMessage): Promise<void> => {
    now.newest = of;
    return round.heard(of);
  };
  const update = async (edge: string, of: number): Promise<void> => {
    const about = { fleet: 'f', edge, model: 'm', round: of, base: BASE, codec: 'raw', layout: '0'.repeat(16) };
    const header = { ...about, samples: 1, steps: 1, createdAt: 0, metrics: {} };
    const blob = encodeUpdate(header, new Uint8Array(1), signer);
    await store.accept(sha256Hex(blob), { ...header, key: signer.key }, blob);
    await round.advance();
  };
  const online = (edge: string): void => {
    const status = { edge, online: true, session: 1, samples: 1, software: 'x', models: {} };
    members.status(status as unknown as StatusMessage);
  };
  return { round, store, said, now, hear, update, online };
}

describe('a region’s round', () => {
  test('opens within the cloud’s, ends when its edges have answered, and goes up once', async () => {
    const { store, said, now, hear, update, online, round } = await region('once');
    online('e1');
    online('e2');
    await hear(message(1));
    const { openedAt = 0, deadlineAt = 0, participants } = store.state ?? {};
    assert.deepEqual([deadlineAt - openedAt, participants], [30_000, ['e1', 'e2']]);
    await update('e1', 1);
    assert.deepEqual(said, ['open 1']);
    await update('e2', 1);
    assert.deepEqual(
      [said, store.state?.phase, now.pending?.round],
      [['open 1', 'closed 1', 'sums 2 of 1'], 'done', 1],
    );
    await hear(message(1));
    now.pending = undefined;
    now.settled = 1;
    await hear(message(1));
    await round.look();
    assert.equal(said.length, 3);
  });

  test('none for others, for another base, or before a version', async () => {
    const { store, said, now, hear, round } = await region('others');
    await hear(message(1, { participants: ['south'] }));
    await hear(message(1, { base: { version: 2, sha256: 'b'.repeat(64) } }));
    const { serving } = now;
    now.serving = undefined;
    await hear(message(1));
    assert.deepEqual([said, store.state], [[], undefined]);
    now.serving = serving;
    await round.look();
    assert.deepEqual(said, ['open 1']);
    const refused = (reason: string) => (e: unknown) => e instanceof ProtocolError && e.reason === reason;
    round.admit({ round: 1, base: BASE });
    assert.throws(() => round.admit({ round: 2, base: BASE }), refused('round-closed'));
    assert.throws(() => round.admit({ round: 1, base: 'c' }), refused('base-mismatch'));
  });

  test('the next partial aggregate waits for the receipt of the one before, whose rest it carries', async () => {
    const { said, now, hear, update, online, round } = await region('waits');
    online('e1');
    await hear(message(1));
    await update('e1', 1);
    said.length = 0;
    await hear(message(2));
    await update('e1', 2);
    assert.deepEqual(said, ['open 2']);
    now.pending = undefined;
    now.settled = 1;
    await round.advance();
    assert.deepEqual(said, ['open 2', 'closed 2', 'sums 1 of 2']);
  });

  test('updates to one version are not summed up once another is passed on', async () => {
    const { said, now, hear, update, online } = await region('moved');
    online('e1');
    await hear(message(1));
    now.serving = { artifact: { sha256: 'b'.repeat(64) } as Artifact };
    await update('e1', 1);
    assert.deepEqual(said, ['open 1']);
    await hear(message(2, { base: { version: 2, sha256: 'b'.repeat(64) } }));
    assert.deepEqual(said, ['open 1', 'closed 2', 'open 2']);
  });

  test('a crash after the partial aggregate was stored leaves only the round’s end to write', async () => {
    const { store, said, now, hear, update, online, round } = await region('crash');
    online('e1');
    online('e2');
    await hear(message(1));
    await update('e1', 1);
    assert.ok(store.state);
    await store.save({ ...store.state, phase: 'closing' });
    now.pending = { id: 'p', round: 1, base: BASE, blob: new Uint8Array(1) };
    await round.advance();
    assert.deepEqual([store.state.phase, said], ['done', ['open 1']]);
  });
});
