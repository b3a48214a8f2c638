import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { loadStandard } from './standard.js';
import { loadSteel, subset } from './steel.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-standard-'));
after(() => rmSync(root, { recursive: true }));
const folder = (name: string, files: Record<string, Uint8Array>): string => {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  for (const [file, bytes] of Object.entries(files)) writeFileSync(join(path, file), bytes);
  return path;
};
const idx = (dims: number[], body: number[]): Uint8Array => {
  const head = Buffer.alloc(4 + 4 * dims.length);
  head.writeUInt32BE(0x800 + dims.length, 0);
  for (const [i, d] of dims.entries()) head.writeUInt32BE(d, 4 + 4 * i);
  return Buffer.concat([head, Uint8Array.from(body)]);
};
const first = (data: { shape: readonly number[]; read(i: number, o: Float32Array, at: number): void }, i = 0) => {
  const out = new Float32Array(data.shape.reduce((a, d) => a * d, 1));
  data.read(i, out, 0);
  return out;
};

describe('standard image sets', () => {
  test('MNIST from IDX files, packed and not', () => {
    const path = folder('mnist', {
      'train-images-idx3-ubyte.gz': gzipSync(idx([2, 2, 2], [0, 51, 255, 0, 1, 2, 3, 4])),
      'train-labels-idx1-ubyte.gz': gzipSync(idx([2], [7, 3])),
      't10k-images.idx3-ubyte': idx([1, 2, 2], [255, 0, 0, 0]),
      't10k-labels.idx1-ubyte': idx([1], [9]),
    });
    const { train, test: held } = loadStandard('mnist', path);
    assert.deepEqual([train.length, train.shape, [...train.labels], [...held.labels]], [2, [1, 2, 2], [7, 3], [9]]);
    assert.deepEqual([...first(train)], [0, Math.fround(0.2), 1, 0]);
  });

  test('CIFAR rows: fine labels of CIFAR-100, colours standardised, batches one after another', () => {
    const row = (...head: number[]): number[] => [...head, ...Array<number>(3072).fill(255)];
    const ten = folder('ten', {
      'data_batch_1.bin': Uint8Array.from(row(3)),
      'data_batch_2.bin': Uint8Array.from([...row(1), ...row(9)]),
      'test_batch.bin': Uint8Array.from(row(0)),
    });
    const { train } = loadStandard('cifar10', ten);
    assert.deepEqual([[...train.labels], train.shape, train.classes.length], [[3, 1, 9], [3, 32, 32], 10]);
    const red = first(train)[0] as number;
    assert.ok(Math.abs(red - (1 - 0.4914) / 0.247) < 1e-6);
    const hundred = folder('hundred', {
      'train.bin': Uint8Array.from(row(5, 88)),
      'test.bin': Uint8Array.from(row(1, 2)),
    });
    assert.deepEqual([...loadStandard('cifar100', hundred).train.labels], [88]);
    assert.throws(
      () =>
        loadStandard(
          'cifar10',
          folder('short', { 'data_batch_1.bin': new Uint8Array(10), 'test_batch.bin': new Uint8Array(1) }),
        ),
      /not a multiple of 3073/,
    );
  });

  test('missing files: what they are called and where they come from', () => {
    assert.throws(() => loadStandard('cifar10', join(root, 'nowhere')), /data_batch_1\.bin.*cs\.toronto\.edu.*--data/);
    assert.throws(() => loadStandard('mnist', folder('empty', {})), /train-images-idx3-ubyte/);
  });
});

describe('steel plates faults', () => {
  const names = [...Array.from({ length: 27 }, (_, i) => `f${i}`), ...Array.from({ length: 7 }, (_, i) => `fault${i}`)];
  const line = (n: number): string =>
    [
      ...Array.from({ length: 27 }, (_, i) => n * (i + 1)),
      ...Array.from({ length: 7 }, (_, c) => Number(c === n % 7)),
    ].join(',');
  const file = (name: string, lines: string[]): string => {
    writeFileSync(join(root, name), [names.join(','), ...lines].join('\n'));
    return join(root, name);
  };

  test('features are standardised by the training part, which is disjoint from the test part', () => {
    const { train, test: held } = loadSteel(
      file(
        'steel.csv',
        Array.from({ length: 140 }, (_, n) => line(n)),
      ),
      1,
    );
    assert.deepEqual([train.length, held.length, train.classes[0]], [112, 28, 'fault0']);
    assert.equal(new Set([...train.groups, ...held.groups]).size, 140);
    for (const f of [0, 26]) {
      const column = Array.from({ length: train.length }, (_, i) => first(train, i)[f] as number);
      const mean = column.reduce((a, v) => a + v) / column.length;
      const deviation = Math.sqrt(column.reduce((a, v) => a + (v - mean) ** 2, 0) / column.length);
      assert.ok(Math.abs(mean) < 1e-5 && Math.abs(deviation - 1) < 1e-5);
    }
    assert.deepEqual(first(subset(train, Int32Array.of(5))), first(train, 5));
  });

  test('says which line is off', () => {
    assert.throws(() => loadSteel(file('bad.csv', [line(0), 'a,b']), 1), /bad\.csv line 3/);
    assert.throws(() => loadSteel(join(root, 'none.csv'), 1), /--data/);
  });
});
