import tf from '@tensorflow/tfjs';
import { median } from './median.js';
import { TFJS_MODELS } from './tfjsModels.js';

interface BackendRecord {
  /** As TensorFlow.js calls it. */
  readonly name: string;
  /** Samples in a step, by model, where 32 are too many. */
  readonly batch?: Readonly<Record<string, number>>;
  /** Loads it with so many threads. */
  load(threads: number): Promise<void>;
}

const BACKENDS = {
  'tfjs-cpu': {
    name: 'cpu',
    // Steps of the JavaScript backend take minutes on larger batches, and its time for a sample hardly depends on them.
    batch: { 'cnn-small': 8, 'sensor-cnn1d': 8, mobilenetv2: 2 },
    load: async () => undefined,
  },
  'tfjs-wasm': {
    name: 'wasm',
    async load(threads) {
      const { setThreadsCount } = await import('@tensorflow/tfjs-backend-wasm');
      setThreadsCount(threads);
    },
  },
  'tfjs-node': {
    name: 'tensorflow',
    async load(threads) {
      process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
      process.env.TF_NUM_INTEROP_THREADS ??= '1';
      process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
      const name: string = '@tensorflow/tfjs-node';
      await import(name);
    },
  },
} satisfies Record<string, BackendRecord>;

/** Backends of TensorFlow.js that a Node.js user can choose from. */
export type TfjsBackend = keyof typeof BACKENDS;
export const TFJS_BACKENDS = Object.keys(BACKENDS) as TfjsBackend[];

export interface TfjsFigures {
  readonly backend: TfjsBackend;
  readonly batch: number;
  readonly forwardSamplesPerSecond: number;
  /** Undefined where the backend can't train this model: `why`. */
  readonly samplesPerSecond: number | undefined;
  readonly why?: string;
}

async function useBackend(backend: TfjsBackend, threads: number): Promise<void> {
  tf.enableProdMode();
  const { name, load }: BackendRecord = BACKENDS[backend];
  await load(threads);
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js has no backend ${name} here`);
}

/** Samples a second of `run`, which takes a batch: one call to warm up, then as many as fit in three seconds. */
async function rate(batch: number, run: () => Promise<void>): Promise<number> {
  await run();
  const times: number[] = [];
  const end = performance.now() + 3000;
  while (times.length === 0 || (performance.now() < end && times.length < 200)) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return (1000 * batch) / median(times);
}

/** A model of `tf.layers` in this process: forward, and a step of SGD with momentum. */
export async function measureTfjs(backend: TfjsBackend, name: string, threads: number): Promise<TfjsFigures> {
  const make = TFJS_MODELS[name];
  if (!make) throw new Error(`${name} is not written in TensorFlow.js here; there are ${Object.keys(TFJS_MODELS)}`);
  await useBackend(backend, threads);
  const { batch: batches }: BackendRecord = BACKENDS[backend];
  const batch = batches?.[name] ?? 32;
  const model = make();
  model.compile({ optimizer: tf.train.momentum(1e-4, 0.9), loss: 'categoricalCrossentropy' });
  const sample = (model.inputs[0]?.shape ?? []).slice(1) as number[];
  const size = batch * sample.reduce((a, d) => a * d, 1);
  const x = tf.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(0.7 * i + (i % 11))),
    [batch, ...sample],
  );
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 10);
  const y = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), 10), 'float32');
  const forwardSamplesPerSecond = await rate(batch, async () => {
    const out = model.predict(x, { batchSize: batch }) as tf.Tensor;
    await out.data();
    out.dispose();
  });
  try {
    const samplesPerSecond = await rate(batch, async () => void (await model.trainOnBatch(x, y)));
    return { backend, batch, forwardSamplesPerSecond, samplesPerSecond };
  } catch (error) {
    const why = (error as Error).message.split('\n')[0] ?? '';
    return { backend, batch, forwardSamplesPerSecond, samplesPerSecond: undefined, why };
  }
}
