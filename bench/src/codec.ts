import { spawnSync } from 'node:child_process';
import * as zlib from 'node:zlib';
import { prepareArtifact, zooModel } from '@ecavg/models';
import { type Layout, makeLayout, PRESETS, codec as protocolCodec } from '@ecavg/protocol';
import { type Simulation, type SimulationOptions, simulate } from './simulate.js';
import { table } from './table.js';

const MODELS = {
  mlp: { rounds: 20, epochs: [4, 2] as const, target: 0.93 },
  'cnn-small': { rounds: 12, epochs: [2, 1] as const, target: 0.95 },
};
export type CodecModel = keyof typeof MODELS;
export const CODEC_MODELS = Object.keys(MODELS) as CodecModel[];

type Preset = keyof typeof PRESETS;
const PRESET_LIST = Object.keys(PRESETS) as Preset[];

/** Rounds whose updates are recorded: an early, a middle and a late one. */
const RECORDED = [2, 6, 11];

interface Coding {
  readonly preset: Preset;
  readonly zeros: number;
  readonly bitsPerWeight: number;
  readonly ratioToFloat32: number;
  /** Zero-order entropy of the quantised symbols, tensor by tensor, bits a weight; the lossless preset has none. */
  readonly entropy: number | null;
  readonly ratioToEntropy: number | null;
  readonly ratioToZstd19: number | null;
  readonly ratioToBrotli11: number | null;
  /** Of float32 weights, one core. */
  readonly encodeMBs: number;
  readonly accumulateMBs: number;
}

interface Training {
  readonly codec: string;
  readonly accuracy: number;
  readonly pointsLost: number;
  readonly bitsPerWeight: number;
  readonly ratioToFloat32: number;
  /** Bytes of all updates until the mean of the runs reached the target; null where it did not. */
  readonly bytesToTarget: number | null;
}

export interface CodecOptions {
  readonly models: readonly CodecModel[];
  readonly seeds: number;
  readonly json: boolean;
}

function fleet(model: CodecModel, seed: number): Omit<SimulationOptions, 'codec'> {
  const { rounds, epochs } = MODELS[model];
  return { model, edges: 8, alpha: 0.5, rounds, epochs, learningRate: 0.05, seed };
}

async function layoutOf(model: CodecModel): Promise<Layout> {
  const zoo = zooModel(model, { input: [1, 28, 28], classes: 10, seed: 1 });
  return (await prepareArtifact(zoo, { loss: 'cross-entropy', batch: 32, sample: [1, 28, 28] })).layout;
}

/** Real updates of training without a codec, one after the other, as one large model of many tensors. */
async function recorded(model: CodecModel): Promise<{ layout: Layout; values: Float32Array }> {
  const parts: Float32Array[] = [];
  await simulate({
    ...fleet(model, 1),
    rounds: Math.max(...RECORDED),
    codec: { name: 'raw', options: {} },
    onUpdate: (round, _, delta) => {
      if (RECORDED.includes(round)) parts.push(delta.slice());
    },
  });
  const one = await layoutOf(model);
  const tensors = parts.flatMap((_, i) => one.tensors.map((t) => ({ name: `${i}.${t.name}`, shape: t.shape })));
  const values = new Float32Array(one.total * parts.length);
  for (const [i, part] of parts.entries()) values.set(part, i * one.total);
  return { layout: makeLayout(tensors), values };
}

function entropyBits(symbols: Int8Array): number {
  const counts = new Map<number, number>();
  for (const s of symbols) counts.set(s, (counts.get(s) ?? 0) + 1);
  let bits = 0;
  for (const n of counts.values()) bits -= n * Math.log2(n / symbols.length);
  return bits;
}

/** Bytes of zstd at level 19: Node's own where it has it, otherwise the command; null where there is neither. */
function zstd19(bytes: Uint8Array): number | null {
  const own = (zlib as { zstdCompressSync?: (b: Uint8Array, o: object) => Buffer }).zstdCompressSync;
  // 100 is ZSTD_c_compressionLevel.
  if (own) return own(bytes, { params: { 100: 19 } }).length;
  const run = spawnSync('zstd', ['-19', '-c', '-q'], { input: bytes, maxBuffer: 1 << 30 });
  return run.status === 0 ? run.stdout.length : null;
}

function best(run: () => void): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest;
}

function coding(preset: Preset, layout: Layout, values: Float32Array): Coding {
  const coder = protocolCodec('range');
  const options = PRESETS[preset];
  const payload = coder.encode(values, layout, options);
  const symbols = coder.levels?.(payload, layout).levels ?? new Int8Array();
  const bytes = Uint8Array.from(symbols, (s) => s & 0xff);
  const lossless = 'step' in options && options.step === 0;
  let entropy = 0;
  for (const { offset, length } of layout.tensors) entropy += entropyBits(symbols.subarray(offset, offset + length));
  const brotli = zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
  const zstd = zstd19(bytes);
  const accumulator = new Float32Array(layout.total);
  const megabytes = (layout.total * 4) / 1e6;
  return {
    preset,
    zeros: symbols.reduce((n, s) => n + (s === 0 ? 1 : 0), 0) / symbols.length,
    bitsPerWeight: (payload.length * 8) / layout.total,
    ratioToFloat32: (layout.total * 4) / payload.length,
    entropy: lossless ? null : entropy / layout.total,
    ratioToEntropy: lossless ? null : (payload.length * 8) / entropy,
    ratioToZstd19: lossless || zstd === null ? null : payload.length / zstd,
    ratioToBrotli11: lossless ? null : payload.length / brotli,
    encodeMBs: megabytes / (best(() => coder.encode(values, layout, options)) / 1000),
    accumulateMBs: megabytes / (best(() => coder.accumulate(payload, layout, 0.1, accumulator)) / 1000),
  };
}

async function training(model: CodecModel, seeds: number): Promise<Training[]> {
  const { target, rounds } = MODELS[model];
  const codecs = [
    { codec: 'raw (float32 FedAvg)', name: 'raw', options: {} },
    ...PRESET_LIST.map((preset) => ({ codec: preset, name: 'range', options: PRESETS[preset] })),
    { codec: 'int8-brotli', name: 'int8-brotli', options: {} },
  ];
  const results: Training[] = [];
  for (const { codec, name, options } of codecs) {
    const runs: Simulation[] = [];
    for (let seed = 1; seed <= seeds; seed++)
      runs.push(await simulate({ ...fleet(model, seed), codec: { name, options } }));
    const mean = (of: (r: (typeof runs)[number]) => number): number => runs.reduce((s, r) => s + of(r), 0) / seeds;
    const curve = [...Array(rounds).keys()].map((i) => mean((r) => r.accuracy[i] ?? 0));
    const reached = curve.findIndex((a) => a >= target);
    // The mean of the last three rounds: a single one hangs on a few test samples.
    const accuracy = (curve.slice(-3).reduce((a, b) => a + b, 0) / 3) * 100;
    const bitsPerWeight = mean((r) => r.bitsPerWeight);
    results.push({
      codec,
      accuracy,
      pointsLost: (results[0]?.accuracy ?? accuracy) - accuracy,
      bitsPerWeight,
      ratioToFloat32: 32 / bitsPerWeight,
      bytesToTarget: reached < 0 ? null : mean((r) => r.bytes[reached] ?? 0),
    });
  }
  return results;
}

/** Size, speed and effect of the codec on real updates. */
export async function benchCodec({ models, seeds, json }: CodecOptions): Promise<void> {
  const report = [];
  for (const model of models) {
    const { layout, values } = await recorded(model);
    const codings = PRESET_LIST.map((preset) => coding(preset, layout, values));
    const trained = await training(model, seeds);
    report.push({ model, weights: layout.total, target: MODELS[model].target, codings, training: trained });
    if (json) continue;
    const n = (v: number | null, digits = 2): string => (v === null ? '-' : v.toFixed(digits));
    process.stdout.write(`\n${model}: ${layout.total} weights of recorded updates, no reference to earlier ones\n`);
    table(
      [
        'preset',
        'zeros',
        'bits/weight',
        'x float32',
        '/ entropy',
        '/ zstd-19',
        '/ brotli-11',
        'encode MB/s',
        'accumulate MB/s',
      ],
      codings.map((c) => [
        c.preset,
        n(c.zeros),
        n(c.bitsPerWeight, 3),
        n(c.ratioToFloat32, 1),
        n(c.ratioToEntropy),
        n(c.ratioToZstd19),
        n(c.ratioToBrotli11),
        n(c.encodeMBs, 0),
        n(c.accumulateMBs, 0),
      ]),
    );
    process.stdout.write(
      `\n${model}: ${MODELS[model].rounds} rounds of 8 edges, Dirichlet 0.5, ${seeds} seeds; bytes to ${MODELS[model].target * 100} %\n`,
    );
    table(
      ['codec', 'accuracy %', 'points lost', 'bits/weight', 'x float32', 'bytes to target'],
      trained.map((t) => [
        t.codec,
        n(t.accuracy),
        n(t.pointsLost),
        n(t.bitsPerWeight, 3),
        n(t.ratioToFloat32, 1),
        t.bytesToTarget === null ? 'not reached' : Math.round(t.bytesToTarget).toLocaleString('en'),
      ]),
    );
  }
  if (json)
    process.stdout.write(`${JSON.stringify({ bench: 'codec', node: process.version, models: report }, null, 1)}\n`);
}
