import { ModelError } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import { OrtTrainer } from './ortTrainer.js';
import type { EngineName, Trainer } from './types.js';

/** Bytes of the two graphs of an artifact: for inference with its weights, and of a training step. */
interface Graphs {
  readonly infer: Uint8Array;
  readonly train: Uint8Array;
}

interface EngineRecord {
  create(graphs: Graphs, threads: number): Promise<Trainer>;
  /** @throws ModelError where the engine can't be loaded. */
  require(threads: number): Promise<void>;
}

const ENGINE_RECORDS: Readonly<Record<EngineName, EngineRecord>> = {
  ort: {
    create: ({ train }, threads) => OrtTrainer.create(train, threads),
    require: async () => {},
  },
  'tfjs-node': {
    async create(graphs, threads) {
      const tf = await loadTfjsNode(threads);
      // Loaded only here: a program that trains with ONNX Runtime needs neither TensorFlow.js nor this.
      const { TfjsTrainer } = await import('../tfjs/trainer.js');
      return TfjsTrainer.create(tf, graphs, 'tfjs-node');
    },
    async require(threads) {
      await loadTfjsNode(threads);
    },
  },
};

/** Which engine trains, and on how many threads. */
export interface TrainerOptions {
  /** Default: ort. */
  readonly engine?: EngineName;
  /** CPU threads of one step; default 1. */
  readonly threads?: number;
}

/**
 * A trainer for the two graphs of an artifact; its weights are all 0 until `setWeights`.
 * @throws ModelError where the engine isn't installed, or can't train this model.
 */
export function createTrainer(graphs: Graphs, { engine = 'ort', threads = 1 }: TrainerOptions = {}): Promise<Trainer> {
  return ENGINE_RECORDS[engine].create(graphs, threads);
}

/**
 * Loads the engine: what a node asks at its start, and not only in its first round.
 * @throws ModelError where it can't be loaded.
 */
export function requireEngine({ engine = 'ort', threads = 1 }: TrainerOptions): Promise<void> {
  return ENGINE_RECORDS[engine].require(threads);
}

/** TensorFlow takes its number of threads from the environment, once in the life of a process. */
async function loadTfjsNode(threads: number): Promise<Tf> {
  process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
  process.env.TF_NUM_INTEROP_THREADS ??= '1';
  // Otherwise the library writes lines about CPU features between those of our log.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  const name: string = '@tensorflow/tfjs-node';
  let loaded: { readonly default: Tf };
  try {
    loaded = (await import(name)) as { readonly default: Tf };
  } catch (error) {
    throw new ModelError('ECAVG_MODEL_RUNTIME', unavailable(error), { cause: error });
  }
  const tf = loaded.default;
  tf.enableProdMode();
  await tf.ready();
  if (tf.getBackend() !== 'tensorflow') {
    throw new ModelError(
      'ECAVG_MODEL_RUNTIME',
      `engine "tfjs-node": its backend is ${JSON.stringify(tf.getBackend())}, not "tensorflow"`,
    );
  }
  return tf;
}

function unavailable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const fix =
    code === 'ERR_MODULE_NOT_FOUND'
      ? 'it is not installed: npm install @tensorflow/tfjs-node'
      : `its native library does not load (${firstLine(message)}): npm rebuild @tensorflow/tfjs-node --ignore-scripts=false`;
  return `engine "tfjs-node" can't be used, ${fix}; or choose engine "ort"`;
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
