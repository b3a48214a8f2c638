import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extractWeights, loadDataSet, prepareArtifact, sampleSize, standardSplit, zooModel } from '@ecavg/models';
import { PRESETS } from '@ecavg/protocol';
import { type SimulationOptions, shardsOf, simulate } from './simulate.js';
import { table } from './table.js';

interface Run {
  /** On the test set after each round, in [0, 1]. */
  readonly accuracy: readonly number[];
  readonly bytesUp: number;
  readonly seconds: number;
  readonly peakRssMb: number;
}

const LEARNING_RATE = 0.05;

export interface FlowerOptions {
  readonly edges: number;
  readonly rounds: number;
  readonly alpha: number;
  /** Runs, each with shards and initial weights of its own. */
  readonly seeds: number;
  readonly python: string;
  readonly json: boolean;
}

type Case = Pick<FlowerOptions, 'edges' | 'rounds' | 'alpha'> & { readonly seed: number };

function settings({ edges, rounds, alpha, seed }: Case): SimulationOptions {
  const codec = { name: 'range', options: PRESETS.balanced };
  return { model: 'mlp', edges, alpha, rounds, epochs: [2, 2], learningRate: LEARNING_RATE, seed, codec };
}

/** One run of ours; meant for a process of its own. */
export async function measureOurs(about: Case): Promise<Run> {
  const began = performance.now();
  const { accuracy, bytes } = await simulate(settings(about));
  const seconds = (performance.now() - began) / 1000;
  return { accuracy, bytesUp: bytes.at(-1) ?? 0, seconds, peakRssMb: process.resourceUsage().maxRSS / 1024 };
}

/** Federated averaging on the same shards from the same initial weights: ours and Flower's, each simulated on this machine. */
export async function benchFlower(o: FlowerOptions): Promise<void> {
  const pairs: { ours: Run; flower: Run }[] = [];
  for (let seed = 1; seed <= o.seeds; seed++) {
    const folder = mkdtempSync(join(tmpdir(), 'ecavg-flower-'));
    try {
      const about = { ...o, seed };
      await writeInput(folder, about);
      const script = new URL('../peers/flower_fedavg.py', import.meta.url).pathname;
      process.stderr.write(`seed ${seed}: ours\n`);
      const ours = run(process.execPath, [process.argv[1] ?? '', 'flower-ours', JSON.stringify(about)]);
      process.stderr.write(`seed ${seed}: Flower\n`);
      pairs.push({ ours, flower: run(o.python, [script, folder]) });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const of = (who: 'ours' | 'flower') => {
    const mean = (get: (r: Run) => number): number => pairs.reduce((a, p) => a + get(p[who]), 0) / pairs.length;
    return {
      accuracy: mean((r) => r.accuracy.at(-1) ?? 0),
      bytesUp: mean((r) => r.bytesUp),
      seconds: mean((r) => r.seconds),
      peakRssMb: mean((r) => r.peakRssMb),
    };
  };
  const [ours, flower] = [of('ours'), of('flower')];
  if (o.json) {
    const { edges, rounds, alpha, seeds } = o;
    const result = {
      settings: { edges, rounds, alpha, seeds, epochs: 2, learningRate: LEARNING_RATE, parameters: 101_770 },
      ours,
      flower,
      pointsOver: 100 * (ours.accuracy - flower.accuracy),
      bytesRatio: flower.bytesUp / ours.bytesUp,
      secondsRatio: flower.seconds / ours.seconds,
      memoryRatio: flower.peakRssMb / ours.peakRssMb,
      runs: pairs,
    };
    process.stdout.write(`${JSON.stringify(result, null, 1)}\n`);
    return;
  }
  const row = (name: string, r: typeof ours): string[] => [
    name,
    (100 * r.accuracy).toFixed(2),
    (r.bytesUp / 1000).toFixed(0),
    r.seconds.toFixed(1),
    r.peakRssMb.toFixed(0),
  ];
  table(['', 'accuracy %', 'kB up', 'seconds', 'peak MB'], [row('ecavg', ours), row('Flower', flower)]);
}

async function writeInput(folder: string, o: Case): Promise<void> {
  const data = loadDataSet('mnist', { sites: 1, seed: 1 });
  const { test } = standardSplit(data, 1);
  const size = sampleSize(data);
  const x = new Float32Array(data.length * size);
  for (let i = 0; i < data.length; i++) data.read(i, x, i * size);
  const model = zooModel('mlp', { input: data.shape, classes: data.classes.length, seed: o.seed });
  const { layout } = await prepareArtifact(model, { loss: 'cross-entropy', batch: 32, sample: data.shape });
  const bytes = (v: Float32Array | Int32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
  writeFileSync(join(folder, 'x.bin'), bytes(x));
  writeFileSync(join(folder, 'y.bin'), bytes(data.labels));
  writeFileSync(join(folder, 'weights.bin'), bytes(extractWeights(model, layout)));
  const shards = shardsOf(data, settings(o)).map((s) => [...s]);
  const { rounds } = o;
  const config = { rounds, epochs: 2, learningRate: LEARNING_RATE, momentum: 0.9, batch: 32, shards, test: [...test] };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}

function run(program: string, args: readonly string[]): Run {
  const env = { ...process.env, RAY_DEDUP_LOGS: '0', FLWR_TELEMETRY_ENABLED: '0' };
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26, env });
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr.slice(-800)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Run;
}
