import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { sha256Hex } from '@ecavg/protocol';
import { codeOf } from '@ecavg/protocol/errors';
import { nextSession } from '@ecavg/runtime';
import { edgeConfigSchema } from '../config.js';
import { noisyHistogram } from '../learning/learner.js';
import { openShard } from '../samples/openData.js';
import { EdgeStore, type OutboxEntry } from './edgeStore.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-edge-'));
after(() => rmSync(root, { recursive: true }));
const fresh = (name: string) => ({ folder: join(root, name), store: new EdgeStore(join(root, name)) });
const never = (error: Error): void => assert.fail(error);

const blob = Uint8Array.of(1, 2, 3);
const entry: OutboxEntry = {
  id: sha256Hex(blob),
  round: 4,
  base: 'b'.repeat(64),
  blob,
  ifAccepted: { residual: Float32Array.of(0.25, -1), levels: Int8Array.of(1, -127) },
  ifRejected: { residual: Float32Array.of(1e-30, 3), velocity: Float32Array.of(0, 2) },
};

describe('edge store', () => {
  test('an update waits in the outbox across restarts, with both outcomes, until it is settled', async () => {
    const { folder, store } = fresh('outbox');
    assert.equal(await store.outbox(never), undefined);
    await store.saveOutbox(entry);
    const back = await new EdgeStore(folder).outbox(never);
    assert.deepEqual(back && { ...back, blob: Uint8Array.from(back.blob) }, entry);
    assert.deepEqual(await store.memory(2), {});
    await store.settle(entry.ifAccepted);
    assert.equal(await store.outbox(never), undefined);
    assert.deepEqual(await new EdgeStore(folder).memory(2), entry.ifAccepted);
    assert.deepEqual(await store.memory(3), {}, 'what is carried for another model is not used');
    writeFileSync(join(folder, 'memory'), 'damaged');
    assert.deepEqual(await store.memory(2), {});
  });

  test('a damaged outbox is set aside and said, and the gateway goes on', async () => {
    const { folder, store } = fresh('damaged');
    await store.saveOutbox(entry);
    const bytes = readFileSync(join(folder, 'outbox'));
    const at = bytes.indexOf(Buffer.from(blob));
    bytes[at] = 9;
    for (const damage of [bytes, bytes.subarray(0, 10), Buffer.from('x')]) {
      writeFileSync(join(folder, 'outbox'), damage);
      const said: string[] = [];
      assert.equal(await store.outbox((error) => said.push(codeOf(error))), undefined);
      assert.deepEqual(said, ['ECAVG_STATE_DAMAGED']);
      assert.ok(existsSync(join(folder, 'outbox.damaged')) && !existsSync(join(folder, 'outbox')));
    }
  });

  test('sessions grow even where the clock was set back', async () => {
    const file = join(root, 'session');
    const first = await nextSession(file);
    const future = first + 1e9;
    writeFileSync(file, String(future));
    assert.equal(await nextSession(file), future + 1);
    writeFileSync(file, 'garbage');
    assert.ok((await nextSession(file)) >= first);
  });

  test('a damaged blob counts as missing, others are pruned', async () => {
    const { folder, store } = fresh('blobs');
    const other = Uint8Array.of(9);
    await store.blobs.put(entry.id, blob);
    await store.blobs.put(sha256Hex(other), other);
    assert.deepEqual(Uint8Array.from((await store.blobs.get(entry.id)) ?? []), blob);
    await store.blobs.prune(new Set([entry.id]));
    assert.equal(await store.blobs.get(sha256Hex(other)), undefined);
    writeFileSync(join(folder, 'blobs', entry.id), 'no');
    assert.equal(await store.blobs.get(entry.id), undefined);
  });
});

test('training, validation and test samples of a gateway are disjoint', () => {
  const config = edgeConfigSchema.parse({ edge: 'e', model: 'm', dataDir: 'x', reportTest: true });
  const { train, validation, test: common } = openShard(config);
  assert.ok(common && validation.indices.length > 20 && train.indices.length > 3 * validation.indices.length);
  const all = [...train.indices, ...validation.indices, ...common.indices];
  assert.equal(new Set(all).size, all.length);
  assert.throws(() => openShard({ ...config, data: { ...config.data, index: 99 } }), /must be 0 to 7/);
});

describe('label histogram', () => {
  const view = openShard(
    edgeConfigSchema.parse({ edge: 'e', model: 'm', dataDir: root, data: { dataset: 'vibration', gateways: 2 } }),
  ).train;

  test('without noise it is exact', () => {
    const counts = noisyHistogram(view, 0);
    assert.equal(
      counts.reduce((a, b) => a + b, 0),
      view.indices.length,
    );
  });

  test('its noise is Laplace of the scale that was asked for, and differs each time', () => {
    const exact = noisyHistogram(view, 0);
    const errors = Array.from({ length: 4000 }, () => noisyHistogram(view, 5)).flatMap((h) =>
      h.map((v, i) => v - (exact[i] as number)),
    );
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    // Mean 0, mean size `scale`, mean square 2 scale^2: bounds at many standard errors.
    assert.ok(Math.abs(mean(errors)) < 0.5);
    assert.ok(Math.abs(mean(errors.map(Math.abs)) - 5) < 0.5);
    assert.ok(Math.abs(mean(errors.map((e) => e * e)) - 50) < 8);
  });
});
