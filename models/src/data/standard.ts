import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CodedError } from '@ecavg/protocol/errors';
import type { DataSet } from './dataset.js';

/** Image sets that people bring as files. */
export const STANDARD_SETS = ['mnist', 'cifar10', 'cifar100'] as const;
/** Name of one of them. */
export type StandardSet = (typeof STANDARD_SETS)[number];

interface Standard {
  /** Which files, and where they come from, for people who lack them. */
  readonly source: string;
  readonly train: RegExp;
  readonly test: RegExp;
  /** Reads the files of one part, at least one. */
  read(folder: string, files: readonly string[]): DataSet;
}

/** Mean and standard deviation of each colour over CIFAR-10's training images, of values in [0, 1]. */
const COLOURS = { mean: [0.4914, 0.4822, 0.4465], deviation: [0.247, 0.2435, 0.2616] };

const STANDARD: Readonly<Record<StandardSet, Standard>> = {
  mnist: {
    source:
      'the four IDX files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, packed with gzip or not (http://yann.lecun.com/exdb/mnist)',
    train: /^train-images.idx3-ubyte(\.gz)?$/,
    test: /^t10k-images.idx3-ubyte(\.gz)?$/,
    read: (folder, files) => readIdx(folder, files[0] as string, 'mnist'),
  },
  cifar10: {
    source:
      'data_batch_1.bin to data_batch_5.bin and test_batch.bin of cifar-10-binary.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html)',
    train: /^(data_batch_\d|.*train.*)\.bin(\.gz)?$/,
    test: /^(test_batch|.*test.*)\.bin(\.gz)?$/,
    read: (folder, files) => readCifar('cifar10', folder, files, { classes: 10, labelBytes: 1 }),
  },
  cifar100: {
    source: 'train.bin and test.bin of cifar-100-binary.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html)',
    train: /^(.*train.*)\.bin(\.gz)?$/,
    test: /^(.*test.*)\.bin(\.gz)?$/,
    // The coarse class comes first, then the fine one, which is the label here.
    read: (folder, files) => readCifar('cifar100', folder, files, { classes: 100, labelBytes: 2 }),
  },
};

/**
 * A standard image set from its official files in a folder, each packed with gzip or not.
 * @throws Error that says which files are missing or damaged, and where they come from.
 */
export function loadStandard(name: StandardSet, folder: string): { train: DataSet; test: DataSet } {
  const part = (which: 'train' | 'test'): DataSet => {
    const files = list(folder, name).filter((f) => STANDARD[name][which].test(f));
    if (files.length === 0) throw missing(name, folder);
    return STANDARD[name].read(folder, files);
  };
  return { train: part('train'), test: part('test') };
}

function list(folder: string, name: StandardSet): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    throw missing(name, folder);
  }
}

function missing(name: StandardSet, folder: string): Error {
  return new CodedError(
    'ECAVG_DATA_FILE',
    `no ${name} in ${folder}: put ${STANDARD[name].source} there, and name the folder with --data`,
  );
}

function read(folder: string, file: string): Buffer {
  const bytes = readFileSync(join(folder, file));
  return file.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

function readIdx(folder: string, images: string, name: StandardSet): DataSet {
  const pixels = read(folder, images);
  const file = images.replace('images', 'labels').replace('idx3', 'idx1');
  let labels: Buffer;
  try {
    labels = read(folder, file);
  } catch {
    throw missing(name, folder);
  }
  const length = pixels.length >= 16 ? pixels.readUInt32BE(4) : 0;
  const [rows, columns] = length > 0 ? [pixels.readUInt32BE(8), pixels.readUInt32BE(12)] : [0, 0];
  const size = rows * columns;
  if (length === 0 || pixels.length !== 16 + length * size || labels.length !== 8 + length)
    throw new CodedError(
      'ECAVG_DATA_FILE',
      `${join(folder, images)} or its labels are damaged: their sizes do not fit together`,
    );
  return {
    ...common(name, Int32Array.from(labels.subarray(8)), 10),
    shape: [1, rows, columns],
    read(index, out, offset) {
      const from = 16 + index * size;
      for (let p = 0; p < size; p++) out[offset + p] = (pixels[from + p] as number) / 255;
    },
  };
}

/** Rows of `labelBytes` classes, of which the last is the label, and three planes of pixels. */
function readCifar(
  name: StandardSet,
  folder: string,
  files: readonly string[],
  { classes, labelBytes: head }: { readonly classes: number; readonly labelBytes: number },
): DataSet {
  const plane = 32 * 32;
  const row = head + 3 * plane;
  const bytes = Buffer.concat(files.map((f) => read(folder, f)));
  if (bytes.length % row !== 0)
    throw new CodedError(
      'ECAVG_TRAINING_DATA',
      `${folder}: ${files.join(', ')} have ${bytes.length} bytes, not a multiple of ${row}`,
    );
  const length = bytes.length / row;
  const labels = Int32Array.from({ length }, (_, i) => bytes[i * row + head - 1] as number);
  return {
    ...common(name, labels, classes),
    shape: [3, 32, 32],
    read(index, out, offset) {
      const from = index * row + head;
      for (let c = 0; c < 3; c++) {
        const [mean, deviation] = [COLOURS.mean[c] as number, COLOURS.deviation[c] as number];
        for (let p = 0; p < plane; p++) {
          const at = c * plane + p;
          out[offset + at] = ((bytes[from + at] as number) / 255 - mean) / deviation;
        }
      }
    },
  };
}

function common(name: StandardSet, labels: Int32Array, classes: number): Omit<DataSet, 'shape' | 'read'> {
  const wrong = labels.find((l) => l >= classes);
  if (wrong !== undefined)
    throw new CodedError('ECAVG_TRAINING_DATA', `${name}: label ${wrong}, but there are ${classes} classes`);
  return {
    name,
    simulated: false,
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    length: labels.length,
    labels,
    groups: Int32Array.from(labels, (_, i) => i),
    sites: undefined,
  };
}
