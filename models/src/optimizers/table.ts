import { STEP } from '../autodiff/step.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType, type TensorSpec } from '../onnx/model.js';
import { adamw } from './adamw.js';
import type { OptimizerName, OptimizerOptions } from './options.js';
import type { OptimizerRecord, Trained } from './record.js';
import { sgd } from './sgd.js';

/** Every optimiser by its name, with its own options. */
export const OPTIMIZER_RECORDS: {
  readonly [Name in OptimizerName]: OptimizerRecord<Extract<OptimizerOptions, { readonly type: Name }>>;
} = { sgd, adamw };

/** The record that takes these options. */
export const optimizerOf = (options: OptimizerOptions): OptimizerRecord<OptimizerOptions> =>
  OPTIMIZER_RECORDS[options.type] as OptimizerRecord<OptimizerOptions>;

/**
 * Emits the step of every parameter (output `{name}:next`) and returns the state that it keeps (inputs by name, outputs `{state}:next`).
 * Learning rate and, where the optimiser has one, momentum are scalar inputs (STEP), so that a schedule needs no other graph.
 */
export function emitOptimizer(
  b: GraphBuilder,
  parameters: readonly Trained[],
  options: OptimizerOptions,
): TensorSpec[] {
  const lr = b.input(STEP.learningRate, DataType.FLOAT, []);
  return optimizerOf(options).emit(b, parameters, lr, options);
}
