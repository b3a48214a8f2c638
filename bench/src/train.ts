import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Artifact,
  DataType,
  Evaluator,
  GraphBuilder,
  OrtTrainer,
  prepareArtifact,
  rebuildsInput,
  ZOO,
  zooModel,
} from '@ecavg/models';
import { forwardFlops } from './flops.js';
import { median } from './median.js';
import { printTrain } from './table.js';
import type { TfjsBackend, TfjsFigures } from './tfjs.js';
import { TFJS_MODELS } from './tfjsModels.js';
import type { TrainFigures, TrainRow } from './trainFigures.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** Model, shape of one sample, batch. */
const CASES = {
  mlp: { input: [1, 28, 28], batch: 32 },
  'cnn-small': { input: [3, 32, 32], batch: 32 },
  'sensor-cnn1d': { input: [2, 1024], batch: 32 },
  'sensor-autoencoder': { input: [2, 1024], batch: 32 },
  mobilenetv2: { input: [3, 32, 32], batch: 32 },
  resnet50: { input: [3, 32, 32], batch: 16 },
} satisfies Record<string, { input: number[]; batch: number }>;

export type CaseName = keyof typeof CASES;
export const CASE_NAMES = Object.keys(CASES) as CaseName[];

async function timed(run: () => Promise<unknown>, budgetMs: number): Promise<number> {
  await run();
  const times: number[] = [];
  const end = performance.now() + budgetMs;
  while (times.length < 5 || (performance.now() < end && times.length < 200)) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}

export function prepareCase(name: CaseName): Promise<Artifact> {
  const { input, batch }: { input: number[]; batch: number } = CASES[name];
  const loss = ZOO[name]?.loss ?? 'cross-entropy';
  return prepareArtifact(zooModel(name, { input, classes: 10, seed: 1 }), { loss, batch, sample: input });
}

/** One model in this process. */
export async function measure(name: CaseName, threads: number, artifact: Artifact): Promise<TrainFigures> {
  const { input, batch }: { input: number[]; batch: number } = CASES[name];
  const { loss } = artifact.info;
  const size = batch * input.reduce((a, d) => a * d, 1);
  const x = Float32Array.from({ length: size }, (_, i) => Math.sin(0.7 * i + (i % 11)));
  const y = rebuildsInput(loss) ? x : Int32Array.from({ length: batch }, (_, i) => i % 10);
  const weight = new Float32Array(batch).fill(1);
  const trainer = await OrtTrainer.create(artifact.train, threads);
  trainer.setWeights(artifact.weights);
  const stepMs = await timed(() => trainer.step(x, y, weight, 1e-4, 0.9), 3000);
  await trainer.release();
  const peakRssMb = Math.round(process.resourceUsage().maxRSS / 1024);
  const evaluator = await Evaluator.create(artifact.model, artifact.layout, threads);
  const forwardMs = await timed(() => evaluator.run(artifact.weights, x, [batch, ...input]), 1000);
  await evaluator.release();
  const flops = await forwardFlops(artifact.model, [batch, ...input]);
  return {
    model: name,
    threads,
    batch,
    stepMs,
    forwardMs,
    stepToForward: stepMs / forwardMs,
    samplesPerSecond: (1000 * batch) / stepMs,
    gflops: (3 * flops) / stepMs / 1e6,
    matmulGflops: await matmulRate(threads),
    peakRssMb,
  };
}

async function matmulRate(threads: number): Promise<number> {
  const n = 1024;
  const b = new GraphBuilder();
  const x = b.input('x', DataType.FLOAT, ['N', n]);
  b.named('y', 'MatMul', [x, b.weights('w', [n, n], new Float32Array(n * n).fill(0.01))]);
  b.output('y', DataType.FLOAT, ['N', n]);
  const model = b.model({ name: 'matmul' });
  const artifact = await prepareArtifact(model, { loss: 'mse', batch: n, sample: [n] });
  const evaluator = await Evaluator.create(artifact.model, artifact.layout, threads);
  const data = new Float32Array(n * n).fill(0.5);
  const ms = await timed(() => evaluator.run(artifact.weights, data, [n, n]), 500);
  await evaluator.release();
  return (2 * n ** 3) / ms / 1e6;
}

/** The same model in TensorFlow.js, in a process of its own. */
function measureTensorFlow(backend: TfjsBackend, ours: TrainFigures): TfjsFigures & { speedup: number | undefined } {
  const args = [MAIN, 'tfjs-one', backend, ours.model, String(ours.threads)];
  const out = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const theirs = JSON.parse(out.trim().split('\n').at(-1) ?? '') as TfjsFigures;
  const { samplesPerSecond } = theirs;
  return { ...theirs, speedup: samplesPerSecond && ours.samplesPerSecond / samplesPerSecond };
}

/** What the same step takes in PyTorch: `bench/peers/train.py`, run by the given Python. */
function measurePyTorch(python: string, name: CaseName, threads: number): { stepMs: number; peakRssMb: number } {
  const script = fileURLToPath(new URL('../peers/train.py', import.meta.url));
  const { input, batch } = CASES[name];
  const out = execFileSync(python, [script, name, String(threads), String(batch), input.join(',')], {
    encoding: 'utf8',
  });
  return JSON.parse(out) as { stepMs: number; peakRssMb: number };
}

export interface TrainBench {
  readonly models: readonly CaseName[];
  readonly threads: readonly number[];
  readonly tfjs: readonly TfjsBackend[];
  readonly python: string | undefined;
  readonly json: boolean;
}

/** Every model in a process of its own, so that its peak memory is its own; beside it the peers that were asked for. */
export async function benchTrain(options: TrainBench): Promise<void> {
  const rows: TrainRow[] = [];
  for (const model of options.models) {
    // As on a gateway: the process that trains loads graphs that another one has prepared.
    const folder = await mkdtemp(join(tmpdir(), 'ecavg-bench-'));
    try {
      const { infer, train } = await prepareCase(model);
      await writeFile(join(folder, 'infer.onnx'), infer);
      await writeFile(join(folder, 'train.onnx'), train);
      for (const threads of options.threads) rows.push(compare(model, threads, folder, options));
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  if (options.json)
    process.stdout.write(`${JSON.stringify({ bench: 'train', node: process.version, rows }, null, 2)}\n`);
  else printTrain(rows);
}

function compare(model: CaseName, threads: number, folder: string, { tfjs, python, json }: TrainBench): TrainRow {
  const say = (text: string): void => void (json || process.stderr.write(`${text} ...\n`));
  say(`${model}, ${threads} thread(s)`);
  const args = [MAIN, 'train-one', model, String(threads), folder];
  const ours = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as TrainFigures;
  // The JavaScript backend has one thread whatever is asked for: it stands in the rows of one thread.
  const backends = tfjs.filter((b) => model in TFJS_MODELS && (b !== 'tfjs-cpu' || threads === 1));
  const peers = backends.map((backend) => {
    say(`  in ${backend}`);
    return measureTensorFlow(backend, ours);
  });
  if (!python) return { ...ours, tfjs: peers };
  say('  in PyTorch');
  const torch = measurePyTorch(python, model, threads);
  return {
    ...ours,
    tfjs: peers,
    pytorch: torch,
    stepToPyTorch: ours.stepMs / torch.stepMs,
    memoryToPyTorch: ours.peakRssMb / torch.peakRssMb,
  };
}
