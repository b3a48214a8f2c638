import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { checkDataFolder, openDataFolder } from './dataFolder.js';
import { ConfigError } from './errors.js';
import { SOFTWARE } from './software.js';
import { NewerFormatError, StateFormat, unchanged } from './stateFormat.js';
import { fits, stateKinds } from './stateKinds.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-folder-'));
after(() => rmSync(root, { recursive: true }));
let folders = 0;
/** A folder with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = join(root, String(folders++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
const markerOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'ecavg.json'), 'utf8'));

const MARKER = { format: 1, role: 'cloud', software: SOFTWARE };

const about = {
  holds: '',
  removed: '',
  format: 1,
  schema: z.object({ text: z.string().optional() }),
  migrations: { 0: unchanged },
};
new StateFormat({ ...about, kind: 'shared note', shared: true, at: { cloud: 'shared/{name}.json' }, encoding: 'json' });
new StateFormat({
  ...about,
  kind: 'note',
  at: { cloud: '[fleets/{fleet}/]notes/{edge}.json' },
  encoding: 'json',
});
new StateFormat({ ...about, kind: 'diary', at: { cloud: 'diary.jsonl' }, encoding: 'json-lines' });

describe('a data folder', () => {
  test('says whose it is from the first start on, and takes no other daemon', async () => {
    const folder = folderOf({});
    await openDataFolder(folder, 'edge');
    assert.deepEqual(markerOf(folder), { format: 1, role: 'edge', software: SOFTWARE });
    await openDataFolder(folder, 'edge');
    await assert.rejects(
      openDataFolder(folder, 'cloud'),
      (e) =>
        e instanceof ConfigError &&
        e.message ===
          `${folder} is the data folder of a gateway, not of a cloud: give each daemon a dataDir of its own`,
    );
  });

  test('whose note is damaged is told by its files, and gets a new note', async () => {
    const folder = folderOf({ 'ecavg.json': '\u0000garbage', 'trust.json': '{}' });
    await assert.rejects(openDataFolder(folder, 'cloud'), /is the data folder of a gateway/);
    await openDataFolder(folder, 'edge');
    assert.deepEqual(markerOf(folder), { format: 1, role: 'edge', software: SOFTWARE });
  });

  test('that release 0.1.0 made is recognised by its files', async () => {
    const made = {
      cloud: { 'models/m/index.json': '{}' },
      region: { 'upstream/session': '1' },
      edge: { session: '1' },
      broker: { CURRENT: 'MANIFEST-000001' },
    } as const;
    for (const [owner, files] of Object.entries(made))
      for (const role of Object.keys(made) as (keyof typeof made)[]) {
        const folder = folderOf(files);
        if (role === owner) {
          await openDataFolder(folder, role);
          assert.equal(markerOf(folder).role, role);
        } else await assert.rejects(openDataFolder(folder, role), /is the data folder of a/);
      }
  });

  test('that two daemons shared under release 0.1.0 goes on being shared', async () => {
    const folder = folderOf({ session: '1', 'models/m/index.json': '{}' });
    for (const role of ['edge', 'cloud', 'edge'] as const) await openDataFolder(folder, role);
    await assert.rejects(openDataFolder(folder, 'region'), ConfigError);
  });

  test('that a command filled before the first start is taken', async () => {
    const folder = folderOf({ 'keys/tokens/a.json': '{}' });
    await checkDataFolder(folder, 'cloud');
    await openDataFolder(folder, 'cloud');
    assert.equal(markerOf(folder).role, 'cloud');
    await checkDataFolder(join(folder, 'is', 'not', 'there'), 'cloud');
  });

  test('of a later release is refused, and so is any file of one in it, before anything is written', async () => {
    const newer: [string, string][] = [
      ['ecavg.json', '{"format":2,"role":"cloud","software":"ecavg 9.0.0"}'],
      ['notes/a.json', '{"format":2}'],
      ['fleets/other/notes/b.json', '{ "format": 12, "x": 1}'],
      ['diary.jsonl', '{"day":1}\n{"format":1,"day":2}\n{"format":2,"day":3}\n'],
    ];
    for (const [name, text] of newer) {
      const folder = folderOf({ [name]: text });
      for (const look of [checkDataFolder, openDataFolder])
        await assert.rejects(
          look(folder, 'cloud'),
          (e) => e instanceof NewerFormatError && e.message.startsWith(`${join(folder, name)} (`),
          name,
        );
      assert.equal(readFileSync(join(folder, name), 'utf8'), text);
      if (name !== 'ecavg.json') assert.throws(() => markerOf(folder), { code: 'ENOENT' });
    }
    const sound = folderOf({
      'notes/a.json': 'damaged',
      'notes/deep/a.json': '{"format":2}',
      'other.json': '{"format":2}',
    });
    await openDataFolder(sound, 'cloud');
  });
});

describe('files of an earlier release', () => {
  test('are written anew at the start, whole; damaged ones, and those that commands change, stay as they are', async () => {
    const folder = folderOf({
      'notes/a.json': '{"text":"a"}',
      'notes/torn.json': '{"text":',
      'fleets/f/notes/b.json': '{"text":"b"}',
      'notes/new.json': '{ "format": 1, "text": "c" }',
      'shared/d.json': '{"text":"d"}',
      'diary.jsonl': '{"text":"1"}\n{"te\n{"format":1,"text":"2"}\n',
      'other.json': '{"text":"e"}',
      'notes/a.json.12.3.tmp': '{"te',
      'shared/d.json.12.3.tmp': '{"te',
    });
    const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
    await checkDataFolder(folder, 'cloud');
    assert.equal(text('notes/a.json'), '{"text":"a"}');
    for (let i = 0; i < 2; i++) {
      await openDataFolder(folder, 'cloud');
      assert.equal(text('notes/a.json'), '{"format":1,"text":"a"}');
      assert.deepEqual(readdirSync(join(folder, 'notes')), ['a.json', 'new.json', 'torn.json']);
      assert.deepEqual(readdirSync(join(folder, 'shared')), ['d.json', 'd.json.12.3.tmp']);
      assert.equal(text('notes/torn.json'), '{"text":');
      assert.equal(text('fleets/f/notes/b.json'), '{"format":1,"text":"b"}');
      assert.equal(text('notes/new.json'), '{ "format": 1, "text": "c" }');
      assert.equal(text('shared/d.json'), '{"text":"d"}');
      assert.equal(text('diary.jsonl'), '{"format":1,"text":"1"}\n{"te\n{"format":1,"text":"2"}\n');
      assert.equal(text('other.json'), '{"text":"e"}');
    }
  });

  test('that can not be written anew stop no start', async () => {
    const folder = folderOf({ 'notes/a.json': '{"text":"a"}', 'ecavg.json': JSON.stringify(MARKER) });
    // No temporary file can be made: a folder of its name is there.
    for (let i = 0; i < 200; i++) mkdirSync(join(folder, 'notes', `a.json.${process.pid}.${i}.tmp`));
    await openDataFolder(folder, 'cloud');
    assert.equal(readFileSync(join(folder, 'notes', 'a.json'), 'utf8'), '{"text":"a"}');
  });
});

test('patterns name paths', () => {
  const found = stateKinds.of('cloud').find((k) => k.kind.about.kind === 'note');
  const named = (path: string): boolean => found?.patterns.some((p) => fits(p, path)) === true;
  assert.deepEqual(
    ['notes/a.json', 'fleets/f/notes/b.c.json', 'notes/a.jsonx', 'notes/.json', 'x/notes/a.json', 'notes/a/b.json'].map(
      named,
    ),
    [true, true, false, false, false, false],
  );
});
