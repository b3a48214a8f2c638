import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { DataSet } from './dataset.js';

export const STANDARD_SETS = ['mnist', 'cifar10', 'cifar100'] as const;
export type StandardSet = (typeof STANDARD_SETS)[number];

/** Where the files come from and what they are called, for people who lack them. */
const SOURCES: Readonly<Record<StandardSet, string>> = {
  mnist:
    'the four IDX files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, packed with gzip or not (http://yann.lecun.com/exdb/mnist)',
  cifar10:
    'data_batch_1.bin to data_batch_5.bin and test_batch.bin of cifar-10-binary.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html)',
  cifar100: 'train.bin and test.bin of cifar-100-binary.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html)',
};

/** Mean and standard deviation of each colour over CIFAR-10's training images, of values in [0, 1]. */
const COLOURS = { mean: [0.4914, 0.4822, 0.4465], deviation: [0.247, 0.2435, 0.2616] };

const FILES: Readonly<Record<StandardSet, { train: RegExp; test: RegExp }>> = {
  mnist: { train: /^train-images.idx3-ubyte(\.gz)?$/, test: /^t10k-images.idx3-ubyte(\.gz)?$/ },
  cifar10: { train: /^(data_batch_\d|.*train.*)\.bin(\.gz)?$/, test: /^(test_batch|.*test.*)\.bin(\.gz)?$/ },
  cifar100: { train: /^(.*train.*)\.bin(\.gz)?$/, test: /^(.*test.*)\.bin(\.gz)?$/ },
};

/**
 * A standard image set from its official files in a folder, each packed with gzip or not.
 * @throws Error that says which files are missing or damaged, and where they come from.
 */
export function loadStandard(name: StandardSet, folder: string): { train: DataSet; test: DataSet } {
  const part = (which: 'train' | 'test'): DataSet => {
    const files = list(folder, name).filter((f) => FILES[name][which].test(f));
    if (files.length === 0) throw missing(name, folder);
    return name === 'mnist' ? readIdx(folder, files[0] as string, name) : readCifar(name, folder, files);
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
  return new Error(`no ${name} in ${folder}: put ${SOURCES[name]} there, and name the folder with --data`);
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
    throw new Error(`${join(folder, images)} or its labels are damaged: their sizes do not fit together`);
  return {
    ...common(name, Int32Array.from(labels.subarray(8)), 10),
    shape: [1, rows, columns],
    read(index, out, offset) {
      const from = 16 + index * size;
      for (let p = 0; p < size; p++) out[offset + p] = (pixels[from + p] as number) / 255;
    },
  };
}

function readCifar(name: 'cifar10' | 'cifar100', folder: string, files: readonly string[]): DataSet {
  const plane = 32 * 32;
  // cifar100 has the coarse class first.
  const head = name === 'cifar100' ? 2 : 1;
  const row = head + 3 * plane;
  const bytes = Buffer.concat(files.map((f) => read(folder, f)));
  if (bytes.length % row !== 0)
    throw new Error(`${folder}: ${files.join(', ')} have ${bytes.length} bytes, not a multiple of ${row}`);
  const length = bytes.length / row;
  const labels = Int32Array.from({ length }, (_, i) => bytes[i * row + head - 1] as number);
  return {
    ...common(name, labels, name === 'cifar100' ? 100 : 10),
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
  if (wrong !== undefined) throw new Error(`${name}: label ${wrong}, but there are ${classes} classes`);
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
