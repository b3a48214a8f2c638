import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { everything, rowsData, type StreamWindow, streamSchema } from '@ecavg/models';
import { createLogger } from '@ecavg/runtime';
import { withSensorDropout } from './dropout.js';
import { StreamIntake } from './intake.js';
import { Quality } from './quality.js';
import { Reservoir } from './reservoir.js';
import { SampleStore } from './sampleStore.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-samples-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
const sample = (n: number): Float32Array => Float32Array.of(n, -n);
const never = (): void => assert.fail('nothing is damaged');

describe('the reservoir', () => {
  const open = (name: string, seen: number, seed = 1, damaged: (n: number) => void = never): Reservoir =>
    Reservoir.open(join(root, name), { capacity: 10, size: 2, seed, seen }, damaged);

  test('keeps each of 100 samples equally often (chi-square over 2,000 seeds)', () => {
    const counts: number[] = Array(100).fill(0);
    const out = new Float32Array(2);
    for (let seed = 0; seed < 2000; seed++) {
      rmSync(join(root, 'chi'), { force: true });
      const r = open('chi', 0, seed);
      for (let i = 0; i < 100; i++) r.offer(sample(i), { label: 0, group: 0 });
      for (const slot of r.indices) {
        r.read(slot, out, 0);
        counts[out[0] as number] = (counts[out[0] as number] ?? 0) + 1;
      }
      r.close();
    }
    // 2,000 seeds x 10 of 100: 200 each; the 99.9 % point of chi-square with 99 degrees of freedom is 148.2.
    const chi = counts.reduce((a, n) => a + (n - 200) ** 2 / 200, 0);
    assert.ok(chi < 148.2, `chi-square ${chi}`);
  });

  test('goes on after a restart as if there had been none, and an offer made twice counts once', () => {
    const whole = open('whole', 0);
    for (let i = 0; i < 50; i++) whole.offer(sample(i), { label: i % 3, group: i });
    whole.close();
    const first = open('cut', 0);
    // Killed after the write of offer 29 and before its count was kept.
    for (let i = 0; i < 30; i++) first.offer(sample(i), { label: i % 3, group: i });
    first.close();
    const second = open('cut', 29);
    for (let i = 29; i < 50; i++) second.offer(sample(i), { label: i % 3, group: i });
    second.close();
    assert.deepEqual(readFileSync(join(root, 'cut')), readFileSync(join(root, 'whole')));
    assert.equal(statSync(join(root, 'cut')).size, 10 * Reservoir.slotBytes(2));
  });

  test('torn and damaged slots are empty, the others stay', () => {
    const r = open('torn', 0);
    for (let i = 0; i < 10; i++) r.offer(sample(i), { label: i, group: i });
    r.close();
    const bytes = readFileSync(join(root, 'torn'));
    bytes[3 * Reservoir.slotBytes(2) + 17] = 99;
    writeFileSync(join(root, 'torn'), bytes.subarray(0, bytes.length - 5));
    let damaged = 0;
    const again = open('torn', 10, 1, (n) => {
      damaged = n;
    });
    assert.equal(damaged, 2);
    assert.deepEqual([...again.indices], [0, 1, 2, 4, 5, 6, 7, 8]);
    again.close();
  });
});

const stream = streamSchema.parse({
  channels: [{ name: 'a' }],
  rateHz: 10,
  window: 4,
  stride: 2,
  mask: false,
  classes: ['ok', 'worn'],
  latenessSeconds: 0,
});

describe('the sample store', () => {
  const open = (name: string, validationShare = 0.25): SampleStore =>
    new SampleStore(
      stream,
      { folder: join(root, name), edge: 'e', seed: 1, validationShare, maxBytes: 1e6, maxWindows: 400, transforms: '' },
      log,
    );
  const windowAt = (i: number, label = 0): StreamWindow => ({
    values: Float32Array.of(i, i, i, i),
    label,
    startMs: i * 200,
    endMs: i * 200 + 300,
    present: 1,
    means: Float32Array.of(i),
  });

  test('a quarter of the blocks is held back, whole and for ever; no readings are on both sides', () => {
    const fill = (store: SampleStore): void => {
      for (let i = 0; i < 1000; i++) store.add(windowAt(i), { recording: '', number: 0 });
    };
    const [one, two] = [open('split'), open('again')];
    fill(one);
    fill(two);
    const share = one.validation.seen / (one.validation.seen + one.train.seen);
    assert.ok(Math.abs(share - 0.25) < 0.02, String(share));
    assert.equal(one.validation.seen, two.validation.seen);
    const ticks = (part: 'train' | 'validation'): Set<number> => {
      const { data, indices } = one.view(part);
      const out = new Float32Array(4);
      return new Set(
        [...indices].flatMap((i) => {
          data.read(i, out, 0);
          return [0, 1, 2, 3].map((t) => 2 * (out[0] as number) + t);
        }),
      );
    };
    const held = ticks('validation');
    assert.ok(held.size > 50 && ticks('train').size > 200);
    assert.ok([...ticks('train')].every((t) => !held.has(t)));
    one.close();
    two.close();
  });

  test('unlabelled windows are not trained on; the store is bounded and remembers', () => {
    const store = open('bounded');
    assert.equal(store.add(windowAt(0, -1), { recording: '', number: 0 }), false);
    for (let i = 1; i < 2000; i++) store.add(windowAt(i, i % 2), { recording: '', number: 0 });
    assert.equal(store.train.count + store.validation.count, 400);
    store.close();
    const again = open('bounded');
    assert.equal(again.until, 1999 * 200 + 300);
    assert.equal(again.train.count, 300);
    assert.deepEqual(again.view('train').data.labels, store.view('train').data.labels);
    again.close();
  });

  test('a damaged state, or another stream, starts anew', () => {
    const store = open('damaged');
    for (let i = 0; i < 20; i++) store.add(windowAt(i), { recording: '', number: 0 });
    store.close();
    writeFileSync(join(root, 'damaged', 'state.json'), '{"digest":');
    const again = open('damaged');
    assert.equal(again.train.count + again.validation.count, 0);
    again.close();
  });

  test('a recording that is read again after a crash adds nothing twice', async () => {
    const rows = async (sink: {
      reading(c: number, at: number, v: number): void;
      label(at: number, n: string): void;
    }) => {
      for (let i = 0; i < 100; i++) {
        sink.label(i * 100, 'ok');
        sink.reading(0, i * 100, i);
      }
    };
    const store = open('recording');
    let windows = 0;
    const quality = new Quality(stream);
    const intake = (s: SampleStore): StreamIntake =>
      new StreamIntake({
        stream,
        transforms: [],
        store: s,
        quality,
        disk: { hasRoom: true },
        found: () => windows++,
        log,
      });
    await assert.rejects(
      intake(store).recording('r', async (sink) => {
        let n = 0;
        await rows({
          label: (at, name) => sink.label(at, name),
          reading(c, at, v) {
            if (++n > 50) throw new Error('killed');
            sink.reading(c, at, v);
          },
        });
      }),
    );
    store.close();
    const again = open('recording');
    await intake(again).recording('r', rows);
    // 100 ticks, windows of 4 with a stride of 2: 49.
    assert.equal(windows, 49);
    assert.equal(again.dealt('r'), 49);
    again.close();
  });
});

test('what a source says that is no reading is counted, and neither ends nor holds up the gateway', () => {
  const store = new SampleStore(
    stream,
    {
      folder: join(root, 'odd'),
      edge: 'e',
      seed: 1,
      validationShare: 0.25,
      maxBytes: 1e6,
      maxWindows: 40,
      transforms: '',
    },
    log,
  );
  const quality = new Quality(stream);
  const intake = new StreamIntake({
    stream,
    transforms: [],
    store,
    quality,
    disk: { hasRoom: true },
    found: () => assert.fail('no window'),
    log,
  });
  const say = intake as unknown as Record<'reading' | 'gone' | 'label' | 'bad', (...what: unknown[]) => void>;
  const odd = [undefined, null, '1', Symbol('s'), {}, Object.create(null), 1n, Number.NaN, 1e300, -1e300, 1e17];
  for (const what of odd) {
    say.reading(0, what, 1);
    say.gone(0, what);
    say.label(what, 'ok');
    if (typeof what !== 'number') say.reading(0, 1, what);
    say.reading(what, 1, 1);
    say.bad(what, what);
    say.label(1, what);
  }
  const { noTime, notANumber, noChannel, unknownLabel, other, future } = quality.totals;
  assert.deepEqual(
    { noTime, notANumber, noChannel, unknownLabel, other, future },
    {
      noTime: 30,
      notANumber: 7,
      noChannel: 11,
      unknownLabel: 11,
      other: 11,
      future: 1,
    },
  );
  assert.equal(quality.report().channels.a?.readings, 0);
  store.close();
});

test('sensor dropout leaves at least one sensor, and takes value and mask together', () => {
  const two = streamSchema.parse({ channels: [{ name: 'a' }, { name: 'b' }], rateHz: 1, window: 2 });
  const rows = rowsData({
    name: 'r',
    shape: [4, 2],
    classes: ['x'],
    values: new Float32Array(8).fill(1),
    labels: new Int32Array(1),
  });
  const view = withSensorDropout(everything(rows), two, 0.5, 3);
  const seen = new Map<string, number>();
  for (let i = 0; i < 4000; i++) {
    const out = new Float32Array(8);
    view.data.read(0, out, 0);
    seen.set(out.join(''), (seen.get(out.join('')) ?? 0) + 1);
  }
  assert.deepEqual([...seen.keys()].sort(), ['00110011', '11001100', '11111111']);
  // One of the two stays; the other goes half of the time.
  assert.ok(Math.abs((seen.get('11111111') ?? 0) - 2000) < 150, JSON.stringify([...seen]));
});
