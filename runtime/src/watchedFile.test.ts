import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { StateFile } from './stateFile.js';
import { StateFormat } from './stateFormat.js';
import { WatchedFile } from './watchedFile.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-watched-'));
after(() => rmSync(root, { recursive: true }));

const format = new StateFormat({
  kind: 'example of a watched file',
  at: {},
  holds: 'names',
  removed: 'safe',
  format: 1,
  encoding: 'json',
  schema: z.object({ names: z.array(z.string()) }),
  migrations: {},
});

test('a watched file: what another writes is read, damage keeps what was known, an own write counts at once', async () => {
  const path = join(root, 'names.json');
  const [mine, others] = [0, 1].map(() => new WatchedFile(new StateFile(path, format), { names: ['nobody'] }));
  assert.ok(mine && others);
  assert.deepEqual(await mine.reload(), { names: ['nobody'] });
  await others.write({ names: ['anna'] });
  assert.deepEqual(mine.value, { names: ['nobody'] });
  assert.deepEqual(await mine.reload(), { names: ['anna'] });
  writeFileSync(path, 'not JSON, and longer than it was');
  await assert.rejects(mine.reload(), /damaged/);
  assert.deepEqual(mine.value, { names: ['anna'] });
  const written = mine.write({ names: ['anna', 'bert'] });
  assert.deepEqual(mine.value.names, ['anna', 'bert']);
  await written;
  assert.deepEqual(await others.reload(), { names: ['anna', 'bert'] });
});

test('a watched file that could not be written is read again', async () => {
  const path = join(root, 'kept.json');
  const file = new WatchedFile(new StateFile(path, format), { names: [] });
  await file.write({ names: ['anna'] });
  await file.reload();
  const value = {
    names: ['bert'],
    get size(): number {
      throw new Error('the disk is full');
    },
  };
  await assert.rejects(file.write(value), /the disk is full/);
  assert.deepEqual(await file.reload(), { names: ['anna'] });
});
