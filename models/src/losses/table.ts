import { STEP } from '../autodiff/step.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType } from '../onnx/model.js';
import { crossEntropy, generalizedCrossEntropy, softCrossEntropy } from './classes.js';
import type { Loss, LossOptions } from './names.js';
import type { LossOutputs, LossRecord } from './record.js';
import { bceWithLogits, huber, mse } from './values.js';

/** Every loss by its name. */
export const LOSS_RECORDS: Readonly<Record<Loss, LossRecord>> = {
  'cross-entropy': crossEntropy,
  'generalized-cross-entropy': generalizedCrossEntropy,
  'soft-cross-entropy': softCrossEntropy,
  mse,
  huber,
  'bce-with-logits': bceWithLogits,
};

/**
 * Emits the loss of a batch and its gradient. Each sample has a weight: 0 leaves it out, so that the last, shorter batch of an epoch
 * is exact in a graph of fixed batch size. A sample without a target (see TargetKind) counts for nothing.
 * @param output name and `shape` (batch first) of the model's output.
 * @throws ModelError for an option out of range, or an output that the loss can't take.
 */
export function emitLoss(
  b: GraphBuilder,
  loss: Loss,
  { output, shape, options = {} }: { output: string; shape: readonly number[]; options?: LossOptions | undefined },
): LossOutputs {
  const weight = b.input(STEP.weight, DataType.FLOAT, [shape[0] ?? 1]);
  return LOSS_RECORDS[loss].emit(b, { output, shape, weight, options });
}
