import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { decodeUpdate } from '@ecavg/protocol';
import { acceptInto, state, update } from './exampleUpdates.test.js';
import { RoundStore } from './roundStore.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-rounds-'));
after(() => rmSync(root, { recursive: true }));

describe('round store', () => {
  test('what was accepted is there after a crash, in the same round', async () => {
    const folder = join(root, 'crash');
    const store = await RoundStore.open(folder);
    await store.save(state);
    const id = await acceptInto(store, 'a', 1, 10);
    // A write that the crash cut off.
    writeFileSync(join(folder, 'inbox', '1', 'b.99.0.tmp'), 'half an update');
    const again = await RoundStore.open(folder);
    assert.deepEqual(again.state, state);
    assert.deepEqual(
      again.accepted.map((x) => [x.header.edge, x.id, x.header.samples]),
      [['a', id, 10]],
    );
    assert.equal(again.acceptedId(1, 'a'), id);
    assert.equal(again.acceptedId(1, 'b'), undefined);
  });
  test('a finished round forgets the updates and remembers their ids, across restarts', async () => {
    const folder = join(root, 'finish');
    const store = await RoundStore.open(folder);
    await store.save(state);
    const id = await acceptInto(store, 'a', 1, 10);
    await store.finish();
    for (const s of [store, await RoundStore.open(folder)]) {
      assert.equal(s.state?.phase, 'done');
      assert.deepEqual(s.accepted, []);
      assert.equal(s.acceptedId(1, 'a'), id);
    }
    assert.deepEqual(readdirSync(join(folder, 'inbox')), []);
  });
  test('in an asynchronous round an edge may answer earlier rounds too, each once, also across a crash', async () => {
    const folder = join(root, 'late');
    const store = await RoundStore.open(folder);
    await store.save({ ...state, round: 3 });
    const answers = [2, 3].map((round) => ({ round, ...update('a', 1, 10, round) }));
    for (const { id, blob } of answers) await store.accept(id, decodeUpdate(blob).header, blob);
    const open = await RoundStore.open(folder);
    assert.equal(open.accepted.length, 2);
    await open.finish();
    for (const s of [open, await RoundStore.open(folder)])
      for (const { round, id } of answers) assert.equal(s.acceptedId(round, 'a'), id);
  });
});
