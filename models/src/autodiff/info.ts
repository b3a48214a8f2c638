import { type Layout, makeLayout } from '@ecavg/protocol';
import type { Loss, LossOptions } from '../losses/names.js';
import { ModelError, type ModelProto, metadata, type TensorSpec } from '../onnx/model.js';
import type { OptimizerName, OptimizerOptions } from '../optimizers/options.js';

export const METADATA_KEY = 'ecavg.training';

/** What a training graph says of itself, in its ONNX metadata: how it was built, and which tensors a step takes and returns. */
export interface TrainingInfo {
  readonly batch: number;
  readonly loss: Loss;
  readonly lossOptions?: LossOptions;
  readonly optimizer: OptimizerName;
  readonly optimizerOptions: OptimizerOptions;
  readonly clipNorm?: number;
  /** Name and shape (batch first) of the model's input and output. */
  readonly input: TensorSpec;
  readonly output: TensorSpec;
  /** Tensors with a gradient. */
  readonly parameters: readonly TensorSpec[];
  /** Tensors that a step renews without a gradient: running statistics of batch normalisation. */
  readonly buffers: readonly TensorSpec[];
  /** What the optimiser keeps between steps. */
  readonly state: readonly TensorSpec[];
  /** Dropout masks that the trainer draws for each step. */
  readonly masks: readonly (TensorSpec & { readonly ratio: number })[];
  /** Whether the graph takes `mu` and `{parameter}:base` for FedProx. */
  readonly proximal: boolean;
}

/** Reads what `buildTrainingGraph` wrote into a training graph's metadata. @throws ModelError for any other graph. */
export function trainingInfo(model: ModelProto): TrainingInfo {
  const text = metadata(model, METADATA_KEY);
  if (!text) throw new ModelError('ECAVG_MODEL_SHAPE', 'not a training graph made by ecavg (its metadata is missing)');
  return JSON.parse(text) as TrainingInfo;
}

/** The flat order of parameters and buffers: what updates and averages are made of. */
export function trainingLayout(info: TrainingInfo): Layout {
  return makeLayout([...info.parameters, ...info.buffers]);
}
