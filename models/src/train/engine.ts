import { ModelError } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import { OrtTrainer } from './ortTrainer.js';
import type { Trainer } from './types.js';

/** What can train: ONNX Runtime, or TensorFlow through tfjs-node where that is installed. */
export const ENGINES = ['ort', 'tfjs-node'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface TrainerOptions {
  /** Default: ort. */
  readonly engine?: EngineName;
  /** CPU threads of one step; default 1. */
  readonly threads?: number;
}

/**
 * A trainer for the two graphs of an artifact.
 * @throws ModelError where the engine isn't installed, or can't train this model.
 */
export async function createTrainer(
  graphs: { readonly infer: Uint8Array; readonly train: Uint8Array },
  { engine = 'ort', threads = 1 }: TrainerOptions = {},
): Promise<Trainer> {
  if (engine === 'ort') return OrtTrainer.create(graphs.train, threads);
  const tf = await loadTfjsNode(threads);
  // Loaded only here: the package it needs is no dependency of who trains with ONNX Runtime.
  const { TfjsTrainer } = await import('../tfjs/trainer.js');
  return TfjsTrainer.create(tf, graphs, engine);
}

/** Throws ModelError where the engine can't be loaded: what a node asks at its start, not at its first round. */
export async function requireEngine({ engine = 'ort', threads = 1 }: TrainerOptions): Promise<void> {
  if (engine === 'tfjs-node') await loadTfjsNode(threads);
}

/** TensorFlow takes its number of threads from the environment, once in the life of a process. */
async function loadTfjsNode(threads: number): Promise<Tf> {
  process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
  process.env.TF_NUM_INTEROP_THREADS ??= '1';
  // Its lines about CPU features would stand between ours.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  const name: string = '@tensorflow/tfjs-node';
  let loaded: { readonly default: Tf };
  try {
    loaded = (await import(name)) as { readonly default: Tf };
  } catch (error) {
    throw new ModelError(unavailable(error), { cause: error });
  }
  const tf = loaded.default;
  tf.enableProdMode();
  await tf.ready();
  if (tf.getBackend() !== 'tensorflow') {
    throw new ModelError(`engine "tfjs-node": its backend is ${JSON.stringify(tf.getBackend())}, not "tensorflow"`);
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
