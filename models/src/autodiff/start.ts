import type { ModelProto, TensorSpec } from '../onnx/model.js';
import { extractWeights } from '../weights.js';
import { type TrainingInfo, trainingLayout } from './info.js';

/** A tensor that a step takes and returns as `{name}:next`, with the values of the first step. */
export interface StartTensor extends TensorSpec {
  /** Row-major, as many as the shape says. */
  readonly values: Float32Array;
}

/**
 * What the first step of a training graph is fed beside a batch: parameters and buffers as the model has them, the optimiser's state as
 * zeros. From then on each step is fed what the one before returned.
 * @param model the inference graph that the training graph was made from.
 * @throws ModelError where the model lacks a tensor that `info` names.
 */
export function startTensors(model: ModelProto, info: TrainingInfo): StartTensor[] {
  const layout = trainingLayout(info);
  const weights = extractWeights(model, layout);
  const state = info.state.map(({ name, shape }) => {
    return { name, shape, values: new Float32Array(shape.reduce((a, d) => a * d, 1)) };
  });
  return [
    ...layout.tensors.map(({ name, shape, offset, length }) => {
      return { name, shape, values: weights.slice(offset, offset + length) };
    }),
    ...state,
  ];
}
