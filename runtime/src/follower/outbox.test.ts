import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeMessage, sha256Hex, type UpdateChunk } from '@ecavg/protocol';
import { EDGE, MODEL } from './fakeCloud.test.js';
import type { OutboxEntry } from './outbox.js';
import { follow, type Played, root } from './played.test.js';

function entry(round: number, fill = round): OutboxEntry {
  // Three chunks.
  const blob = new Uint8Array(2500).fill(fill);
  return { id: sha256Hex(blob), round, base: 'b'.repeat(64), blob };
}

const chunks = ({ client, cloud }: Played): UpdateChunk[] =>
  client.sent
    .filter((s) => s.topic === cloud.topics.update(EDGE, MODEL))
    .map((s) => decodeMessage('update', s.payload));
const indices = (played: Played): number[] => chunks(played).map((c) => c.index);

describe('the update that waits for its receipt', () => {
  test('goes out whole, is asked for after a while, and outlives a restart', async () => {
    const first = await follow('restart', { parts: { resendSeconds: 60 } });
    await first.follower.outbox.put(entry(3));
    assert.deepEqual(indices(first), [0, 1, 2]);
    assert.deepEqual(
      chunks(first).map(({ round, edge, count }) => [round, edge, count]),
      Array(3).fill([3, EDGE, 3]),
    );
    await first.follower.stop();

    const again = await follow('restart', { before: first });
    assert.deepEqual(
      [again.follower.outbox.pending?.round, indices(again).slice(0, 3), chunks(again)[0]?.id],
      [3, [0, 1, 2], entry(3).id],
    );
    while (indices(again).length < 5) await sleep(5);
    assert.deepEqual(indices(again).slice(3, 5), [2, 2], 'the last chunk asks');
    again.receipt({ id: entry(3).id, status: 'accepted' });
    await again.called('accepted');
    assert.equal(again.follower.outbox.pending, undefined);
    const last = await follow('restart', { before: again });
    assert.deepEqual(indices(last), []);
  });

  test('each receipt: chunks that are missing are sent, refusals by reason give back, drop, or are tried again', async () => {
    const played = await follow('receipts', { parts: { resendSeconds: 60 } });
    const { follower, receipt, outbox, client, calls, idle } = played;
    await follower.outbox.put(entry(1));
    client.sent.length = 0;
    receipt({ id: entry(1).id, status: 'missing', missing: Uint8Array.of(0b010) });
    assert.deepEqual(indices(played), [1, 2], 'what is missing, and the last one that asks');
    receipt({ id: 'f'.repeat(64), status: 'accepted' });
    for (const reason of ['crc-mismatch', 'hash-mismatch', 'chunk-conflict', 'storage', 'too-many-transfers'])
      receipt({ id: entry(1).id, status: 'rejected', reason });
    for (const reason of ['unknown-edge', 'bad-signature']) receipt({ id: entry(1).id, status: 'rejected', reason });
    await idle();
    assert.equal(follower.outbox.pending?.round, 1);
    assert.deepEqual(outbox.ended, []);
    receipt({ id: entry(1).id, status: 'accepted' });
    receipt({ id: entry(1).id, status: 'accepted' });
    await idle();
    assert.deepEqual([outbox.ended, calls], [['accepted'], ['accepted']], 'once');
    let round = 1;
    for (const [reason, outcome] of [
      ['round-closed', 'given-back'],
      ['base-mismatch', 'given-back'],
      ['duplicate', 'given-back'],
      ['reference-mismatch', 'given-back'],
      ['layout-mismatch', 'dropped'],
      ['non-finite', 'dropped'],
      ['payload', 'dropped'],
      ['unknown-codec', 'dropped'],
      ['identity-mismatch', 'dropped'],
    ] as const) {
      await follower.outbox.put(entry(++round));
      receipt({ id: entry(round).id, status: 'rejected', reason });
      await idle();
      assert.deepEqual([outbox.ended.at(-1), outbox.ended.length], [outcome, round], reason);
      assert.equal(follower.outbox.pending, undefined);
    }
  });

  test('is coded again where the cloud has lost what it refers to', async () => {
    const played = await follow('again', { handlers: { encodeAgain: async ({ round }) => entry(round, 99) } });
    const { follower, receipt, outbox, idle } = played;
    await follower.outbox.put(entry(1));
    receipt({ id: entry(1).id, status: 'rejected', reason: 'reference-mismatch' });
    await idle();
    assert.deepEqual([outbox.entry?.id, outbox.ended], [entry(1, 99).id, []]);
    assert.ok(chunks(played).some((c) => c.id === entry(1, 99).id));
    receipt({ id: entry(1, 99).id, status: 'accepted' });
    await idle();
    assert.deepEqual(outbox.ended, ['accepted']);
  });

  test('stays where its end could not be written, and is ended by the next receipt', async () => {
    const played = await follow('full', { parts: { resendSeconds: 0.02 } });
    const { follower, receipt, outbox } = played;
    await follower.outbox.put(entry(1));
    outbox.failures = 1;
    receipt({ id: entry(1).id, status: 'accepted' });
    await played.said('step failed');
    await played.called('retry');
    assert.deepEqual([follower.outbox.pending?.round, outbox.ended], [1, []]);
    const before = indices(played).length;
    while (indices(played).length === before) await sleep(5);
    receipt({ id: entry(1).id, status: 'accepted' });
    await played.called('accepted');
    assert.deepEqual(outbox.ended, ['accepted']);
  });
});

describe('enrolment', () => {
  test('asks at every connection until the cloud has said yes, and then sends what waits', async () => {
    const tokenFile = join(root, 'token');
    writeFileSync(tokenFile, 'secret\n');
    const parts = { tokenFile, resendSeconds: 60 };
    const played = await follow('enrol', { parts });
    const { client, cloud, follower } = played;
    const asked = (p: Played): number => p.client.sent.filter((s) => s.topic === cloud.topics.enrol(EDGE)).length;
    assert.equal(asked(played), 1);
    assert.ok(!client.sent.some((s) => s.payload.includes('secret')));
    played.receipt({ id: null, status: 'rejected', reason: 'bad-token', detail: 'spent' });
    await played.said('a message was refused bad-token spent');
    client.drop();
    client.connect();
    assert.equal(asked(played), 2);
    await follower.outbox.put(entry(1));
    played.receipt({ id: entry(1).id, status: 'rejected', reason: 'unknown-edge' });
    const before = chunks(played).length;
    played.receipt({ id: null, status: 'accepted' });
    await played.said('enrolled');
    await played.idle();
    assert.ok(chunks(played).length > before);
    client.drop();
    client.connect();
    assert.equal(asked(played), 2);
    assert.equal(asked(await follow('enrol', { parts, before: played })), 0);
  });
});

describe('presence', () => {
  test('a last will, a status at every connection and where it changed, and a farewell; sessions grow', async () => {
    let samples = 7;
    const first = await follow('presence', { handlers: { present: () => ({ online: samples > 0, samples }) } });
    const { client, follower, statuses, cloud } = first;
    const will = decodeMessage('status', client.will?.payload as Uint8Array);
    assert.deepEqual([client.will?.topic, will.online, will.software], [cloud.topics.status(EDGE), false, 'test']);
    assert.deepEqual(
      statuses().map((s) => [s.online, s.samples, s.session, s.models]),
      [[true, 7, will.session, { [MODEL]: 0 }]],
    );
    follower.tell();
    assert.equal(statuses().length, 1, 'nothing has changed');
    samples = 9;
    follower.tell();
    assert.equal(statuses().at(-1)?.samples, 9);
    client.drop();
    client.connect();
    assert.equal(statuses().length, 3);
    await follower.stop();
    await follower.close();
    assert.deepEqual(
      [statuses().at(-1)?.online, statuses().at(-1)?.session, client.ended],
      [false, will.session, true],
    );
    const again = await follow('presence');
    assert.ok((again.statuses()[0]?.session ?? 0) > will.session);
  });

  test('after a long absence it waits for a random part of the time before it asks for anything', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    t.mock.method(Math, 'random', () => 0.5);
    const played = await follow('absence', { parts: { catchUpSeconds: 0.2, resendSeconds: 60 } });
    const { client, cloud, hear, calls, follower } = played;
    await follower.outbox.put(entry(1));
    client.sent.length = 0;
    client.drop();
    now = 30_000;
    client.connect();
    assert.equal(chunks(played).length, 1, 'a short absence');
    client.drop();
    now = 100_000;
    const since = Date.now();
    client.connect();
    hear(cloud.topics.manifest(MODEL), cloud.version(1, [1, 2]));
    await played.said('back after a long time');
    assert.deepEqual([calls, chunks(played).length], [[], 1]);
    assert.equal(played.statuses().length, 2, 'the status comes at once');
    while (calls.length === 0 && chunks(played).length === 1) await sleep(1);
    // Half of 0.2 s; a timer may come a millisecond early.
    assert.ok(Date.now() - since >= 99, `${Date.now() - since} ms`);
    await played.called('taken 1');
    assert.equal(chunks(played).length, 2);
  });
});
