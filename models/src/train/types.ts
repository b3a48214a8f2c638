import type { Layout } from '@ecavg/protocol';
import type { View } from '../data/dataset.js';

/** How the learning rate goes down over a run. Linear: to 0 in equal steps. Cosine: half a period (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts). */
export const SCHEDULES = ['constant', 'linear', 'cosine'] as const;
/** Name of a schedule, as in settings. */
export type Schedule = (typeof SCHEDULES)[number];

/** What can train: ONNX Runtime, or TensorFlow through tfjs-node where that is installed. */
export const ENGINES = ['ort', 'tfjs-node'] as const;
/** Name of an engine, as in settings. */
export type EngineName = (typeof ENGINES)[number];

/** Widths of a model's slices are multiples of this, so that a cloud knows all slices that there can be. */
export const WIDTH_STEP = 1 / 16;

/** Hyper-parameters of local training or fine-tuning. */
export interface TrainOptions {
  readonly epochs: number;
  readonly learningRate: number;
  /** Momentum of SGD, in [0, 1); other optimisers ignore it. */
  readonly momentum: number;
  /** Seed of the order in which samples are visited, and of dropout. */
  readonly seed: number;
  /** FedProx: strength of the pull to the weights that training started from; needs a graph built with `proximal`. */
  readonly mu?: number;
  /** Ends training after the current step. */
  readonly signal?: AbortSignal;
  /** Ends training after this many steps. */
  readonly maxSteps?: number;
  /** Ends training after the step that passes this many seconds. */
  readonly maxSeconds?: number;
  /** How the learning rate goes down over the run; default: constant. */
  readonly schedule?: Schedule;
  /** Called after each epoch, with its number from 1; false ends training. */
  readonly onEpoch?: (epoch: number) => Promise<boolean>;
  /** Called after each step: whoever shares the machine may let training wait. */
  readonly onStep?: () => Promise<void>;
  /** Goes on where a checkpoint of the same run (view, seed, epochs) was made. */
  readonly resume?: Uint8Array;
  /** Called every so many steps with the bytes to resume from. */
  readonly checkpoint?: { readonly everySteps: number; save(bytes: Uint8Array): Promise<void> };
}

/** What a training run did. */
export interface TrainResult {
  /** Mean loss over the samples of the last epoch. */
  readonly loss: number;
  /** Accuracy over the samples of the last epoch, while it was training, in [0, 1]; 0 for losses without classes. */
  readonly accuracy: number;
  readonly steps: number;
  readonly seconds: number;
}

/** What a step takes beside its batch. */
export interface StepExtra {
  /** FedProx: strength of the pull; default 0. */
  readonly mu?: number;
  /** Dropout masks by name; default: nothing is dropped. */
  readonly masks?: ReadonlyMap<string, Float32Array>;
}

/** Mean loss of a batch before its step, and the weighted number of correct predictions. */
export interface StepResult {
  readonly loss: number;
  readonly correct: number;
}

/** Trains one model; holds its parameters and optimiser state between calls. */
export interface Trainer {
  readonly engine: string;
  readonly layout: Layout;
  /** Replaces parameters and buffers and clears the optimiser's state. @param flat `layout.total` values. @throws RangeError for another number. */
  setWeights(flat: Float32Array): void;
  /** Parameters and buffers as they are now, flat, `layout.total` values. */
  getWeights(): Float32Array;
  /**
   * One step on a full batch.
   * @param x batch x sample values, row-major.
   * @param y class indices, -1 for none (Int32Array), or targets of the output's shape, NaN for none (Float32Array), as the loss wants them.
   * @param weight one a sample: 0 leaves it out.
   */
  step(
    x: Float32Array,
    y: Int32Array | Float32Array,
    weight: Float32Array,
    learningRate: number,
    momentum: number,
    extra?: StepExtra,
  ): Promise<StepResult>;
  /**
   * Trains over epochs of seeded batches, from the weights that are set, or from a checkpoint.
   * @throws ModelError where data and model do not fit, the loss is no longer finite, or the checkpoint is of another run; the signal's
   *   reason where it is aborted.
   */
  train(view: View, options: TrainOptions): Promise<TrainResult>;
  /** Gives back the memory of the engine. */
  release(): Promise<void>;
}

/** Result of an evaluation: mean loss, accuracy in [0, 1], number of samples. */
export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
  readonly samples: number;
}
