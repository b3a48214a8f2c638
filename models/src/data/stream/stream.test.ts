import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { parseTime, readCsv } from './csv.js';
import { loadRecordings } from './reference.js';
import { type StreamConfig, streamDigest, streamSchema, streamShape } from './schema.js';
import type { StreamWindow } from './window.js';
import { Windower } from './windower.js';

const config = (more: Record<string, unknown> = {}): StreamConfig =>
  streamSchema.parse({ channels: [{ name: 'a' }, { name: 'b' }], rateHz: 10, window: 4, normalise: 'none', ...more });

/** Windows of readings [channel, seconds, value] in the order given. */
function windows(stream: StreamConfig, readings: readonly (readonly [number, number, number])[]): StreamWindow[] {
  const found: StreamWindow[] = [];
  const w = new Windower(stream, (window) => found.push(window));
  for (const [channel, seconds, value] of readings) w.reading(channel, seconds * 1000, value);
  w.flush();
  return found;
}

const part = (w: StreamWindow | undefined, row: number, length = 4): number[] =>
  Array.from(w?.values.subarray(row * length, (row + 1) * length) ?? []);

describe('windows of a stream', () => {
  test('a fast sensor is averaged over a tick, a slow one stands until it is too old, masks say which', () => {
    const found = windows(config({ maxAgeSeconds: 0.2, minPresent: 0 }), [
      [1, 10.0, 7],
      ...[10.0, 10.05, 10.1, 10.15, 10.2, 10.25, 10.3].map((t, i): [number, number, number] => [0, t, i]),
    ]);
    assert.equal(found.length, 1);
    assert.deepEqual(part(found[0], 0), [0, 1.5, 3.5, 5.5]);
    assert.deepEqual(part(found[0], 1), [7, 7, 7, 7], 'the missing value is the last one');
    assert.deepEqual(part(found[0], 2), [1, 1, 1, 1]);
    assert.deepEqual(part(found[0], 3), [1, 1, 1, 0], 'at 10.3 s the reading is 0.3 s old');
    assert.equal(found[0]?.present, 7 / 8);
    assert.deepEqual([found[0]?.startMs, found[0]?.endMs], [10_000, 10_300]);
  });

  test('the same readings in any order within the lateness give the same windows', () => {
    const stream = config({ latenessSeconds: 1, minPresent: 0, stride: 2 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 0, max: 60 }), fc.integer({ min: -9, max: 9 })), {
          minLength: 1,
          maxLength: 80,
        }),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 80, maxLength: 80 }),
        (raw, shifts) => {
          // The first reading is the earliest: ticks before it are settled once it is known.
          const readings = [[0, 0, 0] as const, ...raw]
            .map(([c, t, v]) => [c, t / 10, v] as const)
            .sort((a, b) => a[1] - b[1]);
          const shuffled = readings
            .map((r, i) => ({ r, at: i === 0 ? -1 : r[1] * 10 + (shifts[i] ?? 0) }))
            .sort((a, b) => a.at - b.at)
            .map(({ r }) => r);
          assert.deepEqual(windows(stream, shuffled), windows(stream, readings));
        },
      ),
    );
  });

  test('what comes too late is counted and changes nothing', () => {
    const found: StreamWindow[] = [];
    const w = new Windower(config({ latenessSeconds: 0.1 }), (window) => found.push(window));
    for (let i = 0; i < 8; i++) for (const c of [0, 1]) w.reading(c, i * 100, i);
    w.reading(0, 100, 99);
    w.flush();
    assert.equal(w.quality[0]?.late, 1);
    assert.deepEqual(part(found[0], 0), [0, 1, 2, 3]);
  });

  test('values out of range and no numbers are missing; a sensor that hangs is found out', () => {
    const stream = config({
      channels: [
        { name: 'a', min: 0, max: 10 },
        { name: 'b', stuckSeconds: 0.3 },
      ],
      maxAgeSeconds: 0,
      minPresent: 0,
    });
    const found: StreamWindow[] = [];
    const w = new Windower(stream, (window) => found.push(window));
    for (const [i, v] of [1, 11, Number.NaN, 4, 5, -1, 7, 8].entries()) {
      w.reading(0, i * 100, v);
      w.reading(1, i * 100, 3);
    }
    w.flush();
    assert.equal(w.quality[0]?.outOfRange, 3);
    assert.deepEqual(
      found.map((f) => part(f, 2)),
      [
        [1, 0, 0, 1],
        [1, 0, 1, 1],
      ],
    );
    assert.deepEqual(
      found.map((f) => part(f, 3)),
      [
        [1, 1, 1, 0],
        [0, 0, 0, 0],
      ],
    );
    assert.equal(w.quality[1]?.stuck, 5);
  });

  test('a sensor that says it has no value has none, until it has one', () => {
    const found: StreamWindow[] = [];
    const w = new Windower(config({ maxAgeSeconds: 10, minPresent: 0 }), (window) => found.push(window));
    for (let i = 0; i < 4; i++) w.reading(0, i * 100, i);
    w.reading(1, 0, 5);
    w.gone(1, 100);
    w.reading(1, 300, 6);
    w.flush();
    assert.deepEqual(part(found[0], 3), [1, 0, 0, 1]);
    assert.deepEqual(part(found[0], 1), [5, 5, 5, 6]);
  });

  test('a window is normalised over what was measured; a channel that stands still is 0', () => {
    const [w] = windows(config({ normalise: 'window', maxAgeSeconds: 0, minPresent: 0, impute: 'mean' }), [
      [0, 0, 1],
      [0, 0.2, 3],
      ...[0, 0.1, 0.2, 0.3].map((t): [number, number, number] => [1, t, 4]),
    ]);
    assert.deepEqual(part(w, 0), [-1, 0, 1, 0]);
    assert.deepEqual(part(w, 1), [0, 0, 0, 0]);
    const range = config({ normalise: 'range', channels: [{ name: 'a', min: 0, max: 4 }], mask: false });
    const [scaled] = windows(
      range,
      [0, 1, 2, 4].map((v, i): [number, number, number] => [0, i / 10, v]),
    );
    assert.deepEqual(part(scaled, 0), [-1, -0.5, 0, 1]);
  });

  test('after a gap windows start anew, and an hour of nothing costs no time', () => {
    const stream = config({ minPresent: 0.1, maxAgeSeconds: 0.1 });
    const rows = (from: number): [number, number, number][] => [0, 1, 2, 3, 4, 5].map((i) => [0, from + i / 10, i]);
    const found = windows(stream, [...rows(0), ...rows(1e9)]);
    assert.deepEqual(
      found.map((f) => f.startMs),
      [0, 400, 1e12],
    );
  });

  test('a window has the label that more than half of its ticks have', () => {
    const stream = config({ classes: ['ok', 'worn'] });
    const found: StreamWindow[] = [];
    const w = new Windower(stream, (window) => found.push(window));
    w.label(400, 0);
    w.label(500, 0);
    w.label(900, 1);
    for (let i = 0; i < 16; i++) for (const c of [0, 1]) w.reading(c, i * 100, i);
    w.flush();
    assert.deepEqual(
      found.map((f) => f.label),
      [-1, 0, 1, 1],
    );
  });

  test('settings that can not work are refused', () => {
    for (const [more, why] of [
      [{ stride: 5 }, /stride/],
      [{ normalise: 'range' }, /min and max/],
      [{ channels: [{ name: 'a' }, { name: 'a' }] }, /name of its own/],
      [{ channels: [{ name: 'a', min: 2, max: 1 }] }, /below/],
      [{ classes: ['x', 'x'] }, /name of its own/],
    ] as const)
      assert.throws(() => config(more), why);
  });

  test('only what changes the windows is in the digest', () => {
    assert.deepEqual(streamShape(config()), [4, 4]);
    assert.equal(streamDigest(config()), streamDigest(config({ latenessSeconds: 3, stride: 1 })));
    for (const more of [{ window: 5 }, { rateHz: 5 }, { mask: false }, { classes: ['x'] }, { normalise: 'window' }])
      assert.notEqual(streamDigest(config()), streamDigest(config(more)));
  });
});

describe('CSV', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-csv-'));
  after(() => rmSync(folder, { recursive: true }));

  test('times in every format', () => {
    const at = Date.UTC(2026, 10, 25, 6, 30, 1, 500);
    assert.equal(parseTime('2026-11-25T06:30:01.5Z', 'iso'), at);
    assert.equal(parseTime('2026-11-25 06:30:01.500', 'iso'), at, 'without a zone it is UTC');
    assert.equal(parseTime('2026-11-25T15:30:01.5+09:00', 'iso'), at);
    assert.equal(parseTime(at / 1000, 's'), at);
    assert.equal(parseTime(String(at * 1000), 'us'), at);
    assert.ok(Number.isNaN(parseTime('', 's')) && Number.isNaN(parseTime('noon', 'iso')));
  });

  test('a recording becomes labelled windows; bad cells are told, missing ones are missing', async () => {
    const rows = Array.from(
      { length: 40 },
      (_, i) => `${i};${i},5;${i === 3 ? 'oops' : i === 4 ? '' : -i};${i < 20 ? 'ok' : 'worn'}`,
    );
    writeFileSync(join(folder, 'r1.csv'), `n;temp;b;state\n${rows.join('\n')}\n`);
    const stream = config({ classes: ['ok', 'worn'], maxAgeSeconds: 0, blockSeconds: 0.8 });
    const bad: string[] = [];
    const data = await loadRecordings(
      stream,
      { files: [join(folder, 'r*.csv')], delimiter: ';', decimal: ',', columns: { a: 'temp' }, label: 'state' },
      (why) => bad.push(why),
    );
    assert.deepEqual(bad, ['r1.csv row 5: "oops" is no number']);
    assert.deepEqual([...data.labels], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert.equal(new Set(data.groups).size, 5);
    const out = new Float32Array(16);
    data.read(0, out, 0);
    assert.deepEqual([...out.subarray(0, 8)], [0.5, 1.5, 2.5, 3.5, 0, -1, -2, -2]);
    assert.deepEqual([...out.subarray(12, 16)], [1, 1, 1, 0]);
  });

  test('errors name the file and the column', async () => {
    writeFileSync(join(folder, 'x.csv'), 'time,c\n1,2\n');
    const load = (more: Record<string, unknown>) =>
      loadRecordings(config(), { files: [join(folder, 'x.csv')], delimiter: ',', decimal: '.', columns: {}, ...more });
    await assert.rejects(load({}), /x\.csv has no column for any channel: it has time, c/);
    await assert.rejects(load({ columns: { a: 'd' } }), /x\.csv has no column "d" for channel a; it has time, c/);
    await assert.rejects(load({ columns: { z: 'c' } }), /columns\.z: there is no channel/);
    await assert.rejects(load({ columns: { a: 'c' } }), /no window of 4 ticks/);
    await assert.rejects(load({ files: [join(folder, 'none*.csv')] }), /no file fits/);
    await assert.rejects(load({ files: [join(folder, 'gone.csv')] }), /gone\.csv can't be read/);
  });

  test('whatever bytes a file holds, reading it ends in rows or in a CsvError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
        const input = Readable.from([Buffer.from(`a,b\n${text}`)]);
        const mapping = { delimiter: ',', decimal: '.', columns: {} } as const;
        const sink = {
          reading: (_c: number, at: number, v: number) => assert.ok(Number.isFinite(at) && typeof v === 'number'),
          label: () => assert.fail('there is no label'),
          bad: (why: string) => assert.ok(why.startsWith('f row ')),
        };
        try {
          await readCsv(input, { mapping, stream: config(), file: 'f' }, sink);
        } catch (error) {
          assert.equal((error as Error).constructor.name, 'CsvError');
        }
      }),
    );
  });
});
