import type { Tensor } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType, type TensorSpec } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';

/** A parameter of the model with the name of its gradient in the graph. */
export interface Trained extends TensorSpec {
  readonly gradient: string;
}

/** Tensors by name, as TensorFlow.js has them. */
export type Tensors = ReadonlyMap<string, Tensor>;

/** What a step takes beside gradients. */
export interface Rates {
  readonly learningRate: number;
  readonly momentum: number;
}

/** One optimiser: its step in the two engines, with state of the same names. */
export interface OptimizerRecord<Options> {
  /** For the table in docs/training.md. */
  readonly about: string;
  /** Whether a step takes a momentum (STEP.momentum). */
  readonly momentum: boolean;
  /**
   * Emits the step of every parameter (output `{name}:next`), and returns the state that it keeps (inputs by name, outputs
   * `{state}:next`; all zeros before the first step). `lr` is the learning rate, a scalar input.
   */
  emit(b: GraphBuilder, parameters: readonly Trained[], lr: string, options: Options): TensorSpec[];
  /** The same step: what becomes of `held` (parameters and state by name). */
  tfjs(tf: Tf, held: Tensors, gradients: Tensors, options: Options, rates: Rates): Map<string, Tensor>;
}

/** Adds a tensor to the state, as an input of the step. */
export function keep(b: GraphBuilder, state: TensorSpec[], name: string, shape: readonly number[]): string {
  state.push({ name, shape });
  return b.input(name, DataType.FLOAT, shape);
}

/** Emits the next value of a tensor as output `{name}:next`. */
export function emitNext(
  b: GraphBuilder,
  { name, shape }: TensorSpec,
  op: string,
  inputs: readonly [string, string],
): string {
  const next = b.named(`${name}:next`, op, inputs);
  b.output(next, DataType.FLOAT, shape);
  return next;
}

/** A tensor that must be there. */
export const at = (tensors: Tensors, name: string): Tensor => tensors.get(name) as Tensor;
