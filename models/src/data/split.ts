import { ArgumentError } from '@ecavg/protocol/errors';
import { Random } from '../random.js';
import { type DataSet, labelHistogram } from './dataset.js';

/**
 * Splits `indices` into parts of about the given shares, stratified by class. A group goes whole into
 * one part, so that no recording or duplicate is seen in training and again in a test.
 * @param shares positive numbers that sum to at most 1.
 * @returns indices in rising order: a part for each share, and a last one with the rest.
 * @throws RangeError for other shares.
 */
export function splitByGroup(
  data: DataSet,
  indices: Int32Array,
  shares: readonly number[],
  seed: number,
  stream = 'split',
): Int32Array[] {
  const sum = shares.reduce((a, s) => a + s, 0);
  if (shares.some((s) => !(s > 0)) || sum > 1 + 1e-9)
    throw new ArgumentError('ECAVG_DATA_SPLIT', `shares ${shares.join(', ')} must be positive and sum to at most 1`);
  const members = new Map<number, number[]>();
  for (const i of indices) {
    const group = data.groups[i] as number;
    const known = members.get(group);
    if (known) known.push(i);
    else members.set(group, [i]);
  }
  // A group's class is that of its first sample: recordings and duplicates have one label in practice.
  const byClass = new Map<number, number[][]>();
  for (const group of members.values()) {
    const label = data.labels[group[0] as number] as number;
    const known = byClass.get(label);
    if (known) known.push(group);
    else byClass.set(label, [group]);
  }
  const parts: number[][] = Array.from({ length: shares.length + 1 }, () => []);
  for (const [label, groups] of [...byClass].sort((a, b) => a[0] - b[0])) {
    const order = new Random(seed, `${stream}/${label}`).shuffle([...groups.keys()]);
    const total = groups.reduce((a, g) => a + g.length, 0);
    const edges = shares.map((_, p) => total * shares.slice(0, p + 1).reduce((a, s) => a + s, 0));
    let placed = 0;
    for (const g of order) {
      const group = groups[g] as number[];
      const middle = placed + group.length / 2;
      const part = edges.findIndex((edge) => middle <= edge);
      parts[part < 0 ? shares.length : part]?.push(...group);
      placed += group.length;
    }
  }
  return parts.map((p) => Int32Array.from(p).sort());
}

/** Which samples the cloud may fine-tune and judge on, which are only for reporting, and which the edges train on. */
export interface Split {
  readonly train: Int32Array;
  readonly reference: Int32Array;
  readonly test: Int32Array;
}

/** The standard split of a data set (20 % test, 10 % reference): disjoint by group, stratified by class, the same for the same seed. */
export function standardSplit(data: DataSet, seed: number, shares = { test: 0.2, reference: 0.1 }): Split {
  const all = Int32Array.from({ length: data.length }, (_, i) => i);
  const [test, reference, train] = splitByGroup(data, all, [shares.test, shares.reference], seed, 'standard');
  return { test: test ?? all, reference: reference ?? all, train: train ?? all };
}

/**
 * Label-skewed shards (Hsu, Qi, Brown 2019): each class is dealt to the parts by shares drawn from a
 * symmetric Dirichlet(alpha); a small alpha means that a part sees few classes. Groups stay whole. A part
 * that a draw left with fewer than `minimum` samples gets groups from the largest part.
 * @returns for each part its indices, in rising order. @throws RangeError where there are too few samples, or groups are too large.
 */
export function partitionDirichlet(
  data: DataSet,
  indices: Int32Array,
  parts: number,
  alpha: number,
  seed: number,
  minimum = 20,
): Int32Array[] {
  if (indices.length < parts * minimum) {
    throw new ArgumentError(
      'ECAVG_DATA_SPLIT',
      `${indices.length} samples can't give ${parts} parts at least ${minimum} each`,
    );
  }
  const shards = deal(data, indices, parts, alpha, new Random(seed, 'dirichlet'));
  topUp(data, shards, minimum);
  return shards.map((s) => Int32Array.from(s).sort());
}

/** Moves the last groups of the largest part to parts below the minimum. */
function topUp(data: DataSet, shards: number[][], minimum: number): void {
  for (const poor of shards) {
    while (poor.length < minimum) {
      const rich = shards.reduce((a, b) => (b.length > a.length ? b : a));
      const group = data.groups[rich.at(-1) as number];
      const moved = rich.filter((i) => data.groups[i] === group);
      if (rich.length - moved.length < minimum)
        throw new ArgumentError(
          'ECAVG_DATA_SPLIT',
          `groups of ${moved.length} samples are too large for ${shards.length} parts`,
        );
      const kept = rich.filter((i) => data.groups[i] !== group);
      rich.splice(0, rich.length, ...kept);
      poor.push(...moved);
    }
  }
}

function deal(data: DataSet, indices: Int32Array, parts: number, alpha: number, random: Random): number[][] {
  const shards: number[][] = Array.from({ length: parts }, () => []);
  const target = (1.5 * indices.length) / parts;
  for (let label = 0; label < data.classes.length; label++) {
    const mine = random.shuffle(indices.filter((i) => data.labels[i] === label));
    // A part that already has more than its share of all samples gets no more of this class.
    const raw = random.dirichlet(alpha, parts).map((p, k) => ((shards[k]?.length ?? 0) < target ? p : 0));
    const sum = raw.reduce((a, p) => a + p, 0);
    let [part, cumulative] = [0, 0];
    const bounds = raw.map((p) => {
      cumulative += sum > 0 ? p / sum : 1 / parts;
      return cumulative * mine.length;
    });
    const home = new Map<number, number>();
    mine.forEach((sample, n) => {
      while (part < parts - 1 && n >= (bounds[part] ?? 0)) part++;
      const group = data.groups[sample] as number;
      const to = home.get(group) ?? part;
      home.set(group, to);
      shards[to]?.push(sample);
    });
  }
  return shards;
}

/** One part a site, in the order of the site numbers. @throws RangeError where the data knows no sites, or has none of a number. */
export function partitionBySite(data: DataSet, indices: Int32Array, parts: number): Int32Array[] {
  const sites = data.sites;
  if (!sites)
    throw new ArgumentError('ECAVG_DATA_SPLIT', `data set ${data.name} knows no sites; use the dirichlet partition`);
  return Array.from({ length: parts }, (_, site) => {
    const mine = indices.filter((i) => sites[i] === site);
    if (mine.length === 0)
      throw new ArgumentError('ECAVG_TRAINING_DATA', `data set ${data.name} has no samples of site ${site}`);
    return mine;
  });
}

/** Largest share of one class in each part: how skewed a partition is, in [1/classes, 1]. */
export function skew(data: DataSet, parts: readonly Int32Array[]): number[] {
  return parts.map((indices) => Math.max(...labelHistogram({ data, indices })) / indices.length);
}
