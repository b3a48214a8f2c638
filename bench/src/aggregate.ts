import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Accepted, Aggregator, cloudConfigSchema, References, Slices } from '@ecavg/cloud';
import { type Artifact, prepareArtifact, Random, zooModel } from '@ecavg/models';
import { codec, decodeUpdate, encodeUpdate, PRESETS, Signer, sha256Hex } from '@ecavg/protocol';
import { table } from './table.js';

const IMAGE = [3, 32, 32];
const MODELS = {
  '0.1M': { name: 'mlp', input: [1, 28, 28], classes: 10 },
  '2.2M': { name: 'mobilenetv2', input: IMAGE, classes: 10 },
  '25M': { name: 'resnet50', input: IMAGE, classes: 1000 },
} as const;
export type AggregateSize = keyof typeof MODELS;
export const AGGREGATE_SIZES = Object.keys(MODELS) as AggregateSize[];

/** Different updates on disk; more edges use them again, which changes nothing for the work. */
const DISTINCT = 8;

export interface AggregateRow {
  readonly size: AggregateSize;
  readonly edges: number;
  readonly parameters: number;
  readonly updatesPerSecond: number;
  /** Of the weights as float32. */
  readonly mbPerSecond: number;
  /** A typed array copied in the same process. */
  readonly copyMbPerSecond: number;
  readonly ratioToCopy: number;
  /** Resident memory at its peak, and what aggregation added to what the process had before. */
  readonly peakRssMb: number;
  readonly addedRssMb: number;
  readonly bytesPerUpdate: number;
  readonly flower: { readonly updatesPerSecond: number; readonly peakRssMb: number } | null;
  /** Rate and memory over Flower's; null without it. */
  readonly rateToFlower: number | null;
  readonly memoryToFlower: number | null;
}

type Own = Omit<AggregateRow, 'flower' | 'rateToFlower' | 'memoryToFlower'>;

/** Aggregates updates as the cloud does: files of its inbox, decoded one after another. Meant for a process of its own. */
export async function measureAggregate(size: AggregateSize, edges: number): Promise<Own> {
  const folder = mkdtempSync(join(tmpdir(), 'ecavg-bench-'));
  try {
    const { name, input, classes } = MODELS[size];
    const model = zooModel(name, { input: [...input], classes, seed: 1 });
    const artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch: 1, sample: [...input] });
    const config = cloudConfigSchema.parse({ dataDir: folder, model: { id: 'bench' } });
    const accepted = updates(artifact, edges, folder);
    const aggregator = new Aggregator(
      config,
      folder,
      new References(folder),
      new Slices(artifact, config.strategy.combiner),
    );
    const before = process.memoryUsage.rss();
    const began = performance.now();
    const { weights } = await aggregator.aggregate(artifact, accepted);
    const seconds = (performance.now() - began) / 1000;
    if (!weights.every(Number.isFinite)) throw new Error('the aggregate is not finite');
    const peak = process.resourceUsage().maxRSS / 1024;
    const parameters = artifact.layout.total;
    const mbPerSecond = (edges * parameters * 4) / 1e6 / seconds;
    const copyMbPerSecond = copyRate();
    return {
      size,
      edges,
      parameters,
      updatesPerSecond: edges / seconds,
      mbPerSecond,
      copyMbPerSecond,
      ratioToCopy: mbPerSecond / copyMbPerSecond,
      peakRssMb: peak,
      addedRssMb: Math.max(0, peak - before / 2 ** 20),
      bytesPerUpdate: accepted.reduce((a, u) => a + u.bytes, 0) / edges,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function updates({ layout, sha256 }: Artifact, edges: number, folder: string): (Accepted & { bytes: number })[] {
  const signer = Signer.generate();
  const coder = codec('range');
  const blobs = Array.from({ length: Math.min(DISTINCT, edges) }, (_, k) => {
    const random = new Random(k, 'bench/aggregate');
    // Heavy tails, as those of trained updates: about as many bits a weight.
    const delta = Float32Array.from({ length: layout.total }, () => 0.01 * random.normal() * random.normal() ** 2);
    const about = { fleet: 'f', edge: `edge-${k}`, model: 'bench', round: 1, base: sha256, codec: 'range' };
    const header = { ...about, layout: layout.hash, samples: 100 + k, steps: 10, createdAt: 1, metrics: {} };
    // No reference: that is kept by edge, and these edges are made up.
    const blob = encodeUpdate(header, coder.encode(delta, layout, { ...PRESETS.balanced, temporal: 0 }), signer);
    const path = join(folder, `update-${k}`);
    writeFileSync(path, blob);
    return { path, header: decodeUpdate(blob).header, id: sha256Hex(blob), bytes: blob.length };
  });
  return Array.from({ length: edges }, (_, k) => {
    const blob = blobs[k % blobs.length] as (typeof blobs)[number];
    return { ...blob, header: { ...blob.header, edge: `edge-${k}` } };
  });
}

function copyRate(): number {
  const from = new Float32Array(1 << 24).fill(1);
  const to = new Float32Array(from.length);
  to.set(from);
  const began = performance.now();
  const times = 8;
  for (let i = 0; i < times; i++) to.set(from);
  return (times * from.byteLength) / 1e6 / ((performance.now() - began) / 1000);
}

export interface AggregateOptions {
  readonly sizes: readonly AggregateSize[];
  readonly edges: readonly number[];
  /** A Python with Flower, to run bench/peers/flower_aggregate.py beside. */
  readonly python: string | undefined;
  readonly json: boolean;
}

export function benchAggregate({ sizes, edges, python, json }: AggregateOptions): void {
  const rows: AggregateRow[] = [];
  for (const size of sizes) {
    for (const count of edges) {
      process.stderr.write(`${size} parameters, ${count} edges\n`);
      const own = child<Own>(process.execPath, [process.argv[1] ?? '', 'aggregate-one', size, String(count)]);
      if (!own) throw new Error(`the measurement of ${size}, ${count} edges failed`);
      const script = new URL('../peers/flower_aggregate.py', import.meta.url).pathname;
      const flower = python
        ? child<NonNullable<AggregateRow['flower']>>(python, [script, String(own.parameters), String(count)])
        : null;
      rows.push({
        ...own,
        flower,
        rateToFlower: flower && own.updatesPerSecond / flower.updatesPerSecond,
        memoryToFlower: flower && own.peakRssMb / flower.peakRssMb,
      });
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  else print(rows);
}

/** What a program prints as JSON in its last line; null where it fails (of memory, say). */
function child<T>(program: string, args: readonly string[]): T | null {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) process.stderr.write(`${program} ended with ${status}: ${stderr.slice(-400)}\n`);
  return status === 0 ? (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T) : null;
}

const digits = (v: number | null | undefined, d: number): string =>
  v === null || v === undefined ? '-' : v.toFixed(d);

function print(rows: readonly AggregateRow[]): void {
  table(
    [
      'parameters',
      'edges',
      'updates/s',
      'MB/s',
      '/ copy',
      'RSS MB',
      'added MB',
      'B/update',
      '/ Flower rate',
      '/ Flower RSS',
    ],
    rows.map((r) => [
      String(r.parameters),
      String(r.edges),
      digits(r.updatesPerSecond, 1),
      digits(r.mbPerSecond, 0),
      digits(r.ratioToCopy, 3),
      digits(r.peakRssMb, 0),
      digits(r.addedRssMb, 0),
      digits(r.bytesPerUpdate, 0),
      digits(r.rateToFlower, 2),
      digits(r.memoryToFlower, 3),
    ]),
  );
}
