import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeUpdate, sha256Hex } from '@ecavg/protocol';
import { type PartialAggregate, UpstreamStore } from './upstreamStore.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-upstream-'));
after(() => rmSync(root, { recursive: true }));
const RELEASE = fileURLToPath(new URL('../../../test/fixtures/release-0.1.0/region/upstream', import.meta.url));

const never = (error: Error): void => assert.fail(error);

const blob = Uint8Array.of(1, 2, 3);
const entry: PartialAggregate = {
  id: sha256Hex(blob),
  round: 4,
  base: 'b'.repeat(64),
  blob,
  wanted: Float32Array.of(1, -2, 0.5),
  left: Float32Array.of(0, 0.25, 0),
};

describe('what a region must not lose of its way up', () => {
  test('the partial aggregate that waits, and what each answer leaves of it, over restarts', async () => {
    for (const [outcome, left] of [
      ['accepted', [0, 0.25, 0]],
      ['given-back', [1, -2, 0.5]],
      ['dropped', undefined],
    ] as const) {
      const folder = join(root, outcome);
      const store = await UpstreamStore.open(folder, never);
      assert.deepEqual([await store.load(), store.settledRound, await store.residual(3)], [undefined, 0, undefined]);
      await store.save(entry);
      const found = await (await UpstreamStore.open(folder, never)).load();
      assert.deepEqual(found && { ...found, blob: Uint8Array.from(found.blob) }, entry);
      await store.settle(entry, outcome);
      const again = await UpstreamStore.open(folder, never);
      assert.deepEqual([await again.load(), again.settledRound], [undefined, 4], outcome);
      assert.deepEqual([...((await again.residual(3)) ?? [])], left ?? []);
      assert.equal(await again.residual(4), undefined, 'of another model');
      assert.ok(!existsSync(join(folder, 'outbox')));
    }
  });

  test('nothing is carried on where coding lost nothing', async () => {
    const folder = join(root, 'lossless');
    const store = await UpstreamStore.open(folder, never);
    const { left: _, ...lossless } = entry;
    await store.save(lossless);
    await store.settle((await store.load()) as PartialAggregate, 'accepted');
    assert.equal(await store.residual(3), undefined);
  });

  test('release 0.1.0: its outbox, its last settled round and its residual are read', async () => {
    const folder = join(root, 'release');
    cpSync(RELEASE, folder, { recursive: true });
    const values = readFileSync(join(RELEASE, 'residual'));
    const store = await UpstreamStore.open(folder, never);
    const found = await store.load();
    assert.ok(found);
    assert.equal(sha256Hex(found.blob), found.id);
    assert.deepEqual([decodeUpdate(found.blob).header.round, found.wanted], [found.round, undefined]);
    assert.equal(store.settledRound, Number(readFileSync(join(RELEASE, 'settled'), 'utf8')));
    const residual = await store.residual(values.length / 4);
    assert.deepEqual(Buffer.from(residual?.buffer ?? new ArrayBuffer()), values);
    await store.settle({ ...found, wanted: Float32Array.of(7) }, 'given-back');
    assert.deepEqual(await store.residual(1), Float32Array.of(7));
    // Nothing, as that release wrote it.
    writeFileSync(join(folder, 'residual'), '');
    assert.equal(await store.residual(1), undefined);
  });

  test('damaged files count as none, and that is said; the outbox is set aside', async () => {
    const folder = join(root, 'damaged');
    const store = await UpstreamStore.open(folder, never);
    await store.settle(entry, 'given-back');
    await store.save(entry);
    const whole = readFileSync(join(folder, 'outbox'));
    const changed = Buffer.from(whole);
    changed[whole.indexOf(Buffer.from(blob))] = 9;
    for (const damage of [changed, whole.subarray(0, 20), Buffer.from('x')]) {
      for (const name of ['outbox', 'settled']) writeFileSync(join(folder, name), damage);
      writeFileSync(join(folder, 'residual'), readFileSync(join(folder, 'residual')).subarray(0, 12));
      const said: string[] = [];
      const again = await UpstreamStore.open(folder, (error) => said.push(error.message));
      assert.deepEqual([again.settledRound, await again.load(), await again.residual(3)], [0, undefined, undefined]);
      assert.match(said.join('\n'), /settled.*\n.*outbox/);
      assert.ok(existsSync(join(folder, 'outbox.damaged')) && !existsSync(join(folder, 'outbox')));
    }
  });
});
