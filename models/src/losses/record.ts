import type { Tensor } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Tf } from '../ops/kernel.js';
import type { LossOptions } from './names.js';

/**
 * What the target of a sample is:
 * - `class`: the index of its class, -1 for none;
 * - `distribution`: a probability for each class, NaN in any of them for none;
 * - `values`: values of the output's shape, NaN in single ones for none. Without labels the input itself: the model rebuilds it.
 */
export type TargetKind = 'class' | 'distribution' | 'values';

/** What a training graph has to compute the loss of a batch from. */
export interface LossInputs {
  /** Name and shape (batch first) of the model's output. */
  readonly output: string;
  readonly shape: readonly number[];
  /** The weight of each sample, [batch]: 0 leaves it out. */
  readonly weight: string;
  readonly options: LossOptions;
}

/** What a loss adds to a training graph: names of tensors. */
export interface LossOutputs {
  /** Scalar: the weighted mean loss of the batch. */
  readonly loss: string;
  /** Scalar: weighted number of correct predictions (0 for losses without classes). */
  readonly correct: string;
  /** dL/d(model output), of the output's shape. */
  readonly gradient: string;
}

/** The same of TensorFlow.js, which finds the gradient itself. */
export interface BatchLoss {
  readonly loss: Tensor;
  readonly correct: Tensor;
}

/** A batch as TensorFlow.js is given it: `target` flat, `weight` one a sample. */
export interface TfBatch {
  readonly output: Tensor;
  readonly target: Int32Array | Float32Array;
  readonly weight: Float32Array;
  readonly options: LossOptions;
}

/** One loss: its target, and its definition in the two engines. */
export interface LossRecord {
  readonly target: TargetKind;
  /** For the table in docs/training.md. */
  readonly about: string;
  /** Emits loss and gradient of a batch. @throws ModelError for an option out of range or an output of another rank. */
  emit(b: GraphBuilder, inputs: LossInputs): LossOutputs;
  /** The same definition in ops that TensorFlow.js differentiates. */
  tfjs(tf: Tf, batch: TfBatch): BatchLoss;
}

/** Sum over some axes, or over all. */
export const sum = (b: GraphBuilder, x: string, axes?: readonly number[]): string =>
  b.op('ReduceSum', axes ? [x, b.ints(axes)] : [x], { keepdims: 0 });

/** w / max(sum w, tiny): a batch without any target has loss and gradient 0. */
export const shares = (b: GraphBuilder, weight: string): string =>
  b.op('Div', [weight, b.op('Max', [sum(b, weight), b.scalar(1e-12)])]);

/** The same in TensorFlow.js. */
export const tfShares = (tf: Tf, weight: Tensor): Tensor => tf.div(weight, tf.maximum(tf.sum(weight), 1e-12));
