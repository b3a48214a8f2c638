import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { zooModel } from '@ecavg/models';
import {
  codec,
  decodeMessage,
  edgeChunks,
  encodeMessage,
  encodeUpdate,
  type Manifest,
  makeLayout,
  pack,
  type Receipt,
  type RoundMessage,
  Signer,
  Topics,
  type UpdateChunk,
  type UpdateHeader,
  unpack,
} from '@ecavg/protocol';
import mqtt, { type MqttClient } from 'mqtt';
import { FLEET, MODEL, TestFleet, type Watcher } from './harness.js';
import { paced } from './pace.js';

const topics = new Topics(FLEET);
const LIAR = 'liar';

describe('hostile and broken messages in an open round', () => {
  // The layout of the model in the test; its hash is checked against the manifest below.
  const model = zooModel('mlp', { input: [1, 28, 28], classes: 10, seed: 1 });
  const layout = makeLayout((model.graph?.initializer ?? []).map((t) => ({ name: t.name, shape: t.dims.map(Number) })));
  const fleet = new TestFleet(2);
  let events: Watcher;
  let client: MqttClient;
  /** The client, typed as what `once` takes. */
  let messages: EventEmitter;
  let manifest: Manifest;
  let round: RoundMessage;
  const receipts: Receipt[] = [];
  const expected: Record<string, number> = {};

  before(async () => {
    await fleet.broker();
    ({ events } = await fleet.cloud({
      rounds: { count: 2, quorum: 1, deadlineSeconds: 100, minEdges: 2, settleSeconds: 0 },
    }));
    client = await mqtt.connectAsync(fleet.brokerUrl, { clientId: 'liar' });
    messages = client as unknown as EventEmitter;
    await client.subscribeAsync(
      [topics.receipt(LIAR, MODEL), topics.receipt(LIAR, 'unknown'), topics.receipt(LIAR, 'other')],
      { qos: 1 },
    );
    client.on('message', (topic, payload) => {
      if (topic.includes('/receipt/')) receipts.push(decodeMessage('receipt', payload));
    });
    const status = {
      edge: LIAR,
      online: true,
      session: Date.now(),
      software: 'test',
      samples: 10,
      models: { [MODEL]: 0 },
    };
    await client.publishAsync(topics.status(LIAR), Buffer.from(encodeMessage('status', status)), {
      qos: 1,
      retain: true,
    });
    await fleet.edge(0);
    await events.until('round-opened');
    manifest = decodeMessage('manifest', await retained(topics.manifest(MODEL)));
    round = decodeMessage('round', await retained(topics.round(MODEL)));
    assert.equal(layout.hash, manifest.layout);
  });

  after(async () => {
    await client?.endAsync(true);
    await fleet.stop();
  });

  async function retained(topic: string): Promise<Uint8Array> {
    const reader = await mqtt.connectAsync(fleet.brokerUrl);
    const message = once(reader as unknown as EventEmitter, 'message');
    await reader.subscribeAsync(topic, { qos: 1 });
    const [, payload] = (await message) as [string, Buffer];
    await reader.endAsync();
    return payload;
  }

  const signer = Signer.generate();
  type Header = Omit<UpdateHeader, 'key'>;
  const sealed = (header: Header, payload: Uint8Array): Uint8Array => encodeUpdate(header, payload, signer);
  const header = (): Header => ({
    fleet: FLEET,
    edge: LIAR,
    model: MODEL,
    round: round.round,
    base: round.base.sha256,
    codec: 'raw',
    layout: layout.hash,
    samples: 10,
    steps: 1,
    createdAt: 0,
    metrics: {},
  });
  const zeros = (): Uint8Array => codec('int8-brotli').encode(new Float32Array(layout.total), layout, {});
  const good = (): Header => ({ ...header(), codec: 'int8-brotli' });
  const envelope = () => ({ edge: LIAR, model: MODEL, round: round.round, base: round.base.sha256 });

  /** Sends and returns the receipt that names the reason; the reason must be counted once more than before. */
  async function refused(reason: string, topic: string, payload: Uint8Array): Promise<Receipt> {
    const from = receipts.length;
    expected[reason] = (expected[reason] ?? 0) + 1;
    const answer = (async () => {
      for (;;) {
        const found = receipts.slice(from).find((r) => r.status === 'rejected');
        if (found) return found;
        await once(messages, 'message', { signal: AbortSignal.timeout(paced(20_000)) });
      }
    })();
    await client.publishAsync(topic, Buffer.from(payload), { qos: 1 });
    const receipt = await answer;
    assert.equal(receipt.reason, reason, receipt.detail);
    assert.ok(receipt.detail);
    return receipt;
  }

  const update = topics.update(LIAR, MODEL);
  /** Sends a blob in chunks; only the last one is answered. */
  async function refusedBlob(reason: string, blob: Uint8Array, about = envelope()): Promise<Receipt> {
    const chunks = edgeChunks(blob, about);
    for (const c of chunks.slice(0, -1))
      await client.publishAsync(update, Buffer.from(encodeMessage('update', c)), { qos: 1 });
    return refused(reason, update, encodeMessage('update', chunks.at(-1) as (typeof chunks)[number]));
  }
  const first = (blob: Uint8Array) => edgeChunks(blob, envelope())[0] as Omit<UpdateChunk, 'v' | 'type'>;

  test('unknown topics', async () => {
    await refused('unknown-topic', `${topics.base}/edge/${LIAR}/upload/${MODEL}`, Buffer.from('x'));
    await refused('unknown-topic', `${topics.base}/edge/${LIAR}/nonsense`, Buffer.from('x'));
    await refused(
      'unknown-model',
      topics.update(LIAR, 'other'),
      encodeMessage('update', { ...first(sealed(good(), zeros())), model: 'other' }),
    );
  });

  test('not MessagePack, another schema version, missing fields', async () => {
    await refused('not-messagepack', update, Buffer.from('hello, cloud'));
    await refused('not-messagepack', update, Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff));
    await refused('not-messagepack', update, new Uint8Array());
    await refused('not-messagepack', topics.status(LIAR), Buffer.from('{"online": true}'));
    const message = unpack(encodeMessage('update', first(sealed(good(), zeros())))) as Record<string, unknown>;
    await refused('schema-version', update, pack({ ...message, v: 99 }));
    await refused('schema', update, pack({ ...message, base: 'abc' }));
    await refused('schema', topics.metrics(LIAR), pack({ v: 1, type: 'metrics' }));
    await refused('too-large', update, pack({ ...message, data: new Uint8Array(200_000) }));
  });

  test('NaN and infinity, in values and in scales', async () => {
    const nan = new Uint8Array(layout.total * 4);
    new DataView(nan.buffer).setFloat32(400, Number.NaN, true);
    const receipt = await refusedBlob('non-finite', sealed(header(), nan));
    assert.match(receipt.detail ?? '', /hidden\.weight.*NaN/);
    new DataView(nan.buffer).setFloat32(400, Number.POSITIVE_INFINITY, true);
    await refusedBlob('non-finite', sealed(header(), nan));
  });

  test('wrong shapes, wrong lengths, unknown codec', async () => {
    await refusedBlob('layout-mismatch', sealed({ ...good(), layout: '0'.repeat(16) }, zeros()));
    await refusedBlob('payload', sealed(header(), new Uint8Array(8)));
    await refusedBlob('payload', sealed(good(), zeros().subarray(0, 9)));
    await refusedBlob('payload', Buffer.from('no update at all'));
    await refusedBlob('unknown-codec', sealed({ ...header(), codec: 'zip' }, zeros()));
  });

  test('wrong base, closed and future rounds', async () => {
    await refusedBlob('base-mismatch', sealed(good(), zeros()), { ...envelope(), base: 'f'.repeat(64) });
    await refusedBlob('round-closed', sealed(good(), zeros()), { ...envelope(), round: 99 });
  });

  test('identities that disagree, damaged and conflicting chunks', async () => {
    const blob = sealed(good(), zeros());
    await refused('identity-mismatch', update, encodeMessage('update', { ...first(blob), edge: 'edge-0' }));
    await refusedBlob('identity-mismatch', sealed({ ...good(), edge: 'edge-0' }, zeros()));
    await refusedBlob('identity-mismatch', sealed({ ...good(), fleet: 'other' }, zeros()));
    await refused('crc-mismatch', update, encodeMessage('update', { ...first(blob), crc: 1 }));
    await refused('hash-mismatch', update, encodeMessage('update', { ...first(blob), id: 'a'.repeat(64) }));
    await refused('chunk-conflict', update, encodeMessage('update', { ...first(blob), index: 7 }));
    await refused('too-large', update, encodeMessage('update', { ...first(blob), size: 2_000_000_000, count: 1 }));
  });

  test('the round goes on: a sound update is accepted once, and the round closes with everyone', async () => {
    const blob = sealed(good(), zeros());
    const accepted = async (): Promise<Receipt> => {
      const from = receipts.length;
      for (const c of edgeChunks(blob, envelope()))
        await client.publishAsync(update, Buffer.from(encodeMessage('update', c)), { qos: 1 });
      while (receipts.length === from) await once(messages, 'message', { signal: AbortSignal.timeout(paced(20_000)) });
      return receipts.at(-1) as Receipt;
    };
    // The liar is the last one missing only if edge-0 has answered; then the round closes at once.
    await events.until('accepted', (d) => d.edge === 'edge-0');
    assert.equal((await accepted()).status, 'accepted');
    const { data } = await events.until('round-closed');
    assert.deepEqual((data.accepted as string[]).sort(), ['edge-0', LIAR]);
    assert.equal(data.version, 2);
    // Sent again after the round: the same answer, and no second count.
    assert.equal((await accepted()).status, 'accepted');
    await refusedBlob('duplicate', sealed({ ...good(), samples: 11 }, zeros()));
    assert.equal(events.seen.filter((e) => e.type === 'accepted' && e.data.round === 1).length, 2);
  });

  test('a well-formed update that would ruin the model: the guard keeps the version before', async () => {
    await events.until('round-opened', (d) => d.round === 2);
    round = decodeMessage('round', await retained(topics.round(MODEL)));
    assert.deepEqual([round.round, round.state, round.base.version], [2, 'open', 2]);
    const ruin = Float32Array.from({ length: layout.total }, (_, i) => 50 * Math.sin(i * i));
    const poison = codec('int8-brotli').encode(ruin, layout, {});
    for (const c of edgeChunks(sealed({ ...good(), samples: 1e6 }, poison), envelope())) {
      await client.publishAsync(update, Buffer.from(encodeMessage('update', c)), { qos: 1 });
    }
    const { data } = await events.until('round-closed', (d) => d.round === 2);
    assert.equal(data.decision, 'kept-previous');
    assert.equal(data.version, 2);
    assert.ok((data.average as number) < (data.previous as number) - 0.1, JSON.stringify(data));
    const { versions } = await fleet.state();
    assert.equal(versions.length, 2);
    manifest = decodeMessage('manifest', await retained(topics.manifest(MODEL)));
    assert.equal(manifest.version, 2);
  });

  test('every refusal was counted by its reason', async () => {
    const { wire } = await fleet.state();
    assert.deepEqual(wire.rejected, expected);
    const stored = (await (
      await fetch(`${fleet.dashboard}/api/v1/telemetry/ecavg_reject?limit=1000`)
    ).json()) as unknown[];
    assert.equal(
      stored.length,
      Object.values(expected).reduce((a, n) => a + n, 0),
    );
  });
});
