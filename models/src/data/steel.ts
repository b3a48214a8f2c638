import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { ArgumentError, CodedError } from '@ecavg/protocol/errors';
import { type DataSet, sampleSize } from './dataset.js';
import { splitByGroup } from './split.js';

const FEATURES = 27;
const FAULTS = 7;
const TEST_SHARE = 0.2;

/**
 * The steel plates faults of a rolling mill (UCI machine learning repository): 1,941 plates, 27 measured features,
 * seven kinds of fault, one column each. Features are standardised by the training part's mean and deviation.
 * @param file CSV with a line of names, packed with gzip or not.
 * @throws Error that names the file and line of what can't be read.
 */
export function loadSteel(file: string, seed: number): { train: DataSet; test: DataSet } {
  const { names, rows, labels } = parse(file);
  const values = Float32Array.from(rows.flat());
  const all: DataSet = {
    name: 'steel',
    simulated: false,
    shape: [FEATURES],
    classes: names.slice(FEATURES),
    length: rows.length,
    labels,
    groups: Int32Array.from(labels, (_, i) => i),
    sites: undefined,
    read: (index, out, offset) => out.set(values.subarray(index * FEATURES, (index + 1) * FEATURES), offset),
  };
  const indices = Int32Array.from({ length: rows.length }, (_, i) => i);
  const [test, train] = splitByGroup(all, indices, [TEST_SHARE], seed, 'steel') as [Int32Array, Int32Array];
  for (let f = 0; f < FEATURES; f++) {
    const column = Array.from(train, (i) => values[i * FEATURES + f] as number);
    const mean = column.reduce((a, v) => a + v, 0) / column.length;
    const deviation = Math.sqrt(column.reduce((a, v) => a + (v - mean) ** 2, 0) / column.length) || 1;
    for (let i = f; i < values.length; i += FEATURES) values[i] = ((values[i] as number) - mean) / deviation;
  }
  return { train: subset(all, train), test: subset(all, test) };
}

/**
 * The chosen samples as a data set of their own; sample i is sample `indices[i]` of `data`, which is read from.
 * @throws ArgumentError when a sample past the last is read.
 */
export function subset(data: DataSet, indices: Int32Array): DataSet {
  const pick = (all: Int32Array): Int32Array => Int32Array.from(indices, (i) => all[i] as number);
  const size = sampleSize(data);
  return {
    ...data,
    length: indices.length,
    labels: pick(data.labels),
    groups: pick(data.groups),
    sites: data.sites && pick(data.sites),
    read(index, out, offset) {
      const from = indices[index];
      if (from === undefined)
        throw new ArgumentError('ECAVG_PROGRAM', `sample ${index} of ${indices.length} (${size} values each)`);
      data.read(from, out, offset);
    },
  };
}

function parse(file: string): { names: string[]; rows: number[][]; labels: Int32Array } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new CodedError(
      'ECAVG_FILE',
      `${file} can't be read: get the steel plates faults (https://archive.ics.uci.edu/dataset/198) as CSV with a line of names, and name the file with --data`,
      { cause },
    );
  }
  const [head = '', ...lines] = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes)
    .toString('utf8')
    .trim()
    .split(/\r?\n/);
  const names = head.split(',');
  if (names.length !== FEATURES + FAULTS)
    throw new CodedError(
      'ECAVG_TRAINING_DATA',
      `${file} line 1: ${names.length} columns; ${FEATURES} features and ${FAULTS} faults are expected`,
    );
  const labels: number[] = [];
  const rows = lines.map((line, n) => {
    const cells = line.split(',').map(Number);
    const label = cells.slice(FEATURES).indexOf(1);
    if (cells.length !== names.length || !cells.every(Number.isFinite) || label < 0)
      throw new CodedError(
        'ECAVG_DATA_FILE',
        `${file} line ${n + 2}: not ${names.length} numbers with one fault set to 1`,
      );
    labels.push(label);
    return cells.slice(0, FEATURES);
  });
  return { names, rows, labels: Int32Array.from(labels) };
}
