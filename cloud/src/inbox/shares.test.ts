import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  decodeMessage,
  edgeChunks,
  encodeMessage,
  encodeShare,
  type Receipt,
  type RejectReason,
  refusalCode,
  type ShareChunk,
  type ShareHeader,
  Signer,
  Topics,
} from '@ecavg/protocol';
import { createLogger, type MqttClient } from '@ecavg/runtime';
import { EdgeKeys } from '../fleet/edgeKeys.js';
import { Receipts } from './receipts.js';
import { BlobReceiver } from './receiver.js';
import { ShareStore } from './shareStore.js';
import { shareKind } from './shares.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-shares-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });

describe('what sites share', () => {
  const signer = Signer.generate();
  const topics = new Topics('default');
  const base = 'b'.repeat(64);
  const blobOf = (extra: object = {}, labels = [1, 2]) =>
    encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [3], createdAt: 1, ...extra },
      { values: new Float32Array(3 * labels.length).fill(0.5), labels: Int32Array.from(labels) },
      signer,
    );

  /** Sends a blob and returns the answer: accepted, or the reason of refusal. */
  const send = async (
    inbox: BlobReceiver<ShareChunk, ShareHeader>,
    answers: Receipt[],
    blob: Uint8Array,
    edge = 'e',
  ): Promise<string> => {
    for (const c of edgeChunks(blob, { edge, model: 'm', base }, 100))
      await inbox.take(topics.share('e', 'm'), encodeMessage('share', c));
    const last = answers.at(-1);
    assert.equal(last?.code, last?.reason && refusalCode(last.reason as RejectReason));
    return last?.reason ?? last?.status ?? 'nothing';
  };
  const open = async (name: string, asked: boolean) => {
    const answers: Receipt[] = [];
    const store = new ShareStore(join(root, name), ['a', 'b', 'c']);
    const client = {
      publish: (_topic: string, payload: Uint8Array) => void answers.push(decodeMessage('receipt', payload)),
    } as unknown as MqttClient;
    const kind = shareKind({
      fleet: 'default',
      model: 'm',
      classes: 3,
      asked: asked ? [{ kind: 'samples' as const, shape: [3], count: 4 }] : [],
      store,
      keys: new EdgeKeys(join(root, name, 'keys')),
      log,
      isCurrent: () => true,
      taken: () => undefined,
    });
    const inbox = new BlobReceiver(kind, new Receipts({ topics, client, log }));
    return { inbox, answers, store };
  };

  test('is taken once, answered again, kept across a restart', async () => {
    const { inbox, answers, store } = await open('taken', true);
    const blob = blobOf();
    assert.equal(await send(inbox, answers, blob), 'accepted');
    assert.equal(await send(inbox, answers, blob), 'accepted');
    const again = new ShareStore(join(root, 'taken'), ['a', 'b', 'c']);
    assert.deepEqual(await again.edges('samples'), ['e']);
    const [given] = await again.views('samples', ['e']);
    assert.deepEqual([...(given?.data.labels ?? [])], [1, 2]);
    await store.forget('e');
    assert.deepEqual(await again.edges('samples'), []);
  });

  test('is refused where nobody asked, or for another shape, layer, number, name, key or label', async () => {
    const none = await open('none', false);
    assert.equal(await send(none.inbox, none.answers, blobOf()), 'not-wanted');
    const { inbox, answers, store } = await open('refused', true);
    for (const [blob, reason, edge] of [
      [blobOf({ kind: 'features', layer: 'x' }), 'not-wanted'],
      [blobOf({}, [1, 1, 1, 1, 1]), 'not-wanted'],
      [blobOf({ edge: 'other' }), 'identity-mismatch'],
      [blobOf({}), 'identity-mismatch', 'other'],
      [blobOf({ fleet: 'other' }), 'identity-mismatch'],
      [blobOf({}, [1, 3]), 'payload'],
      [blobOf().map((b, i) => (i === 60 ? b ^ 1 : b)), undefined],
      [new Uint8Array(300), 'payload'],
    ] as const) {
      const said = await send(inbox, answers, blob, edge ?? 'e');
      if (reason === undefined) assert.notEqual(said, 'accepted');
      else assert.equal(said, reason);
    }
    const wrong = encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [1, 3], createdAt: 1 },
      { values: new Float32Array(3), labels: Int32Array.of(1) },
      signer,
    );
    assert.equal(await send(inbox, answers, wrong), 'layout-mismatch');
    assert.deepEqual(await store.edges('samples'), []);
    assert.equal(await send(inbox, answers, blobOf()), 'accepted');
    const stranger = encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [3], createdAt: 2 },
      { values: new Float32Array(3), labels: Int32Array.of(1) },
      Signer.generate(),
    );
    assert.equal(await send(inbox, answers, stranger), 'bad-signature');
  });
});
