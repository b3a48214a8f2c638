import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pack, unpack } from '@ecavg/protocol';
import fc from 'fast-check';
import { z } from 'zod';
import { openDataFolder } from './dataFolder.js';
import { ConfigError } from './errors.js';
import { Trust } from './follower/trust.js';
import { nextSession } from './session.js';
import { StateFile } from './stateFile.js';
import { type FormatAbout, NewerFormatError, StateFormat, unchanged } from './stateFormat.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-state-'));
after(() => rmSync(root, { recursive: true }));
let files = 0;
const fresh = (): string => {
  const folder = join(root, String(files++));
  mkdirSync(folder);
  return join(folder, 'file');
};

const bytes = z.instanceof(Uint8Array);
/** Format 0: a bare map. 1: `counts`. 2: `counts` and `total`. */
const counter = (encoding: FormatAbout<object>['encoding']) =>
  new StateFormat({
    kind: 'test counter',
    at: {},
    holds: '',
    removed: '',
    format: 2,
    encoding,
    schema: z.object({ counts: z.record(z.string(), z.number()), total: z.number() }),
    migrations: {
      0: (counts) => ({ counts }),
      1(old) {
        const { counts } = z.object({ counts: z.record(z.string(), z.number()) }).parse(old);
        return { counts, total: Object.values(counts).reduce((a, b) => a + b, 0) };
      },
    },
  });
const FORMATS = {
  json: counter('json'),
  'json-indented': counter('json-indented'),
  messagepack: counter('messagepack'),
} as const;
const write = (encoding: keyof typeof FORMATS, value: unknown): Uint8Array | string =>
  encoding === 'messagepack' ? pack(value) : JSON.stringify(value);
const NOW = { counts: { a: 1, b: 2 }, total: 3 };
const refused = (path: string) => (error: unknown) =>
  error instanceof NewerFormatError &&
  error instanceof ConfigError &&
  error.message.startsWith(`${path} (test counter) has format 3, and ecavg `) &&
  /knows formats up to 2: run the release that wrote it, or restore the backup made before the upgrade$/.test(
    error.message,
  );

for (const [encoding, format] of Object.entries(FORMATS) as [keyof typeof FORMATS, StateFormat<typeof NOW>][]) {
  describe(`state files in ${encoding}`, () => {
    test('what is written is read, and says its format first', async () => {
      const path = fresh();
      const file = new StateFile(path, format);
      assert.equal(await file.read(), undefined);
      assert.equal(await file.open(), undefined);
      await file.write(NOW);
      assert.deepEqual(await file.read(), NOW);
      const raw = readFileSync(path);
      const value = encoding === 'messagepack' ? unpack(raw) : JSON.parse(raw.toString('utf8'));
      assert.deepEqual(Object.entries(value as object)[0], ['format', 2]);
      await file.remove();
      assert.equal(await file.read(), undefined);
    });

    for (const [from, old] of [
      [0, NOW.counts],
      [1, { format: 1, counts: NOW.counts }],
    ] as const)
      test(`a file of format ${from} is read as today's; only who opens it writes it anew`, async () => {
        const path = fresh();
        const before = Buffer.from(write(encoding, old));
        writeFileSync(path, before);
        const file = new StateFile(path, format);
        assert.deepEqual(await file.read(), NOW);
        assert.deepEqual(readFileSync(path), before);
        assert.deepEqual(await file.open(), NOW);
        assert.deepEqual(readFileSync(path), Buffer.from(format.encode(NOW)));
        assert.deepEqual(await file.open(), NOW);
      });

    test('a newer one is refused by name, and left as it is, whoever asks', async () => {
      const path = fresh();
      const before = Buffer.from(write(encoding, { format: 3, other: 'things' }));
      writeFileSync(path, before);
      const file = new StateFile(path, format);
      const never = (): void => assert.fail('it is not damaged');
      for (const look of [() => file.read(), () => file.open(), () => file.read(never), () => file.open(never)])
        await assert.rejects(look(), refused(path));
      assert.throws(() => format.refuseNewer(before, path), refused(path));
      assert.deepEqual(readFileSync(path), before);
    });

    test('a damaged one is named; it counts as none where somebody is told', async () => {
      const path = fresh();
      const file = new StateFile(path, format);
      const whole = Buffer.from(format.encode(NOW));
      for (const damage of [whole.subarray(0, whole.length / 2), Buffer.from('x'), Buffer.of(), Buffer.of(0xc1)]) {
        writeFileSync(path, damage);
        const error = `${path} is damaged: restore it from a backup, or move it away to start anew`;
        await assert.rejects(file.read(), { message: error });
        await assert.rejects(file.open(), { message: error });
        const said: string[] = [];
        assert.equal(await file.open((e) => said.push(e.message)), undefined);
        assert.deepEqual(said, [error]);
        format.refuseNewer(damage, path);
        assert.deepEqual(readFileSync(path), damage);
      }
    });

    test('a crash or a full disk while it is written anew leaves the old one whole', async () => {
      const path = fresh();
      const old = Buffer.from(write(encoding, NOW.counts));
      writeFileSync(path, old);
      // Half of a new one, as a crash leaves it.
      writeFileSync(`${path}.1.0.tmp`, Buffer.from(format.encode(NOW)).subarray(0, 9));
      const file = new StateFile(path, format);
      assert.deepEqual(await file.read(), NOW);
      // No temporary file can be made: a folder of its name is there.
      for (let i = 0; i < 200; i++) mkdirSync(`${path}.${process.pid}.${i}.tmp`);
      assert.deepEqual(await file.open(), NOW);
      assert.deepEqual(readFileSync(path), old);
      await assert.rejects(file.write(NOW));
      assert.deepEqual(readFileSync(path), old);
      for (const name of readdirSync(join(path, '..')).filter((n) => n.endsWith('.tmp')))
        rmSync(join(path, '..', name), { recursive: true });
      assert.deepEqual(await file.open(), NOW);
      assert.deepEqual(readFileSync(path), Buffer.from(format.encode(NOW)));
    });

    test('any map of format 0 comes through both migrations', () => {
      const maps = fc.dictionary(
        // Such a map could not hold a number under this name.
        fc.string({ minLength: 1 }).filter((key) => key !== 'format' && key !== '__proto__'),
        fc.integer({ min: -1000, max: 1000 }),
      );
      fc.assert(
        fc.property(maps, (counts) => {
          const found = format.decode(Buffer.from(write(encoding, counts)), 'file');
          assert.equal(found.format, 0);
          assert.deepEqual({ ...found.value.counts }, { ...counts });
          const again = format.decode(Buffer.from(format.encode(found.value)), 'file');
          assert.deepEqual([again.format, { ...again.value.counts }], [2, { ...counts }]);
        }),
      );
    });

    test('a look at the first bytes refuses every newer format, and nothing else', () => {
      fc.assert(
        fc.property(fc.nat(200), (number) => {
          const head = Buffer.from(write(encoding, { format: number, counts: {}, blob: 'x'.repeat(100) })).subarray(
            0,
            64,
          );
          if (number <= 2) format.refuseNewer(head, 'file');
          else assert.throws(() => format.refuseNewer(head, 'file'), NewerFormatError);
        }),
      );
      fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (some) => format.refuseNewer(some, 'file')));
    });
  });
}

test('a format that no migration starts from is damage, not a crash', async () => {
  const path = fresh();
  const format = new StateFormat({
    kind: 'late',
    at: {},
    holds: '',
    removed: '',
    format: 2,
    encoding: 'json',
    schema: z.object({ blob: bytes.optional() }),
    migrations: {},
  });
  writeFileSync(path, '{"format": 1}');
  await assert.rejects(new StateFile(path, format).read(), /is damaged: restore it from a backup/);
});

test('a file that had no number may have been encoded otherwise', async () => {
  const path = fresh();
  const format = new StateFormat({
    kind: 'values',
    at: {},
    holds: '',
    removed: '',
    format: 1,
    encoding: 'messagepack',
    schema: z.object({ values: bytes }),
    unnumbered: (values) => ({ values }),
    migrations: { 0: unchanged },
  });
  const file = new StateFile(path, format);
  for (const values of [Uint8Array.of(1, 0x80, 0xff, 7), new Uint8Array()]) {
    writeFileSync(path, values);
    for (let i = 0; i < 2; i++) assert.deepEqual(Uint8Array.from((await file.open())?.values ?? []), values);
    assert.deepEqual(readFileSync(path), Buffer.from(format.encode({ values })));
  }
});

describe('files that release 0.1.0 wrote without a number', () => {
  test('the session of a run', async () => {
    const path = fresh();
    const future = Date.now() + 1e9;
    writeFileSync(path, String(future));
    assert.equal(await nextSession(path), future + 1);
    assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { format: 1, session: future + 1 });
    assert.equal(await nextSession(path), future + 2);
    writeFileSync(path, 'garbage');
    assert.ok((await nextSession(path)) < future);
    writeFileSync(path, '{"format": 2}');
    await assert.rejects(nextSession(path), NewerFormatError);
    assert.equal(readFileSync(path, 'utf8'), '{"format": 2}');
  });

  test('whom an edge trusts', async () => {
    const folder = join(fresh(), '..');
    const state = { cloudKey: null, version: 3, round: 4, enrolled: 'ab' };
    writeFileSync(join(folder, 'trust.json'), JSON.stringify(state));
    const trust = await Trust.open(folder, undefined);
    assert.ok(trust.isEnrolled('ab'));
    await openDataFolder(folder, 'edge');
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'trust.json'), 'utf8')), { format: 1, ...state });
    writeFileSync(join(folder, 'trust.json'), JSON.stringify({ format: 2, ...state }));
    await assert.rejects(Trust.open(folder, undefined), /trust\.json \(trust\) has format 2/);
  });
});
