import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { STEP } from '../autodiff/step.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import type { LossOptions } from './names.js';
import { type LossRecord, shares, sum, tfShares } from './record.js';

interface ValueLoss {
  readonly about: string;
  /** l and dl/do of each value of the output o against its target y. */
  emit(b: GraphBuilder, o: string, y: string, options: LossOptions): { each: string; slope: string };
  /** l of each value. */
  tfjs(tf: Tf, o: Tensor, y: Tensor, options: LossOptions): Tensor;
}

/** A loss of single values: L = sum_i s_i mean_j l(o_ij, y_ij), the mean over the targets that are there (not NaN). */
const valueLoss = ({ about, emit, tfjs }: ValueLoss): LossRecord => ({
  target: 'values',
  about,
  emit(b, { output, shape, weight, options }) {
    const [batch = 1] = shape;
    const width = shape.slice(1).reduce((a, d) => a * d, 1);
    const flat = b.ints([batch, width]);
    const given = b.op('Reshape', [b.input(STEP.target, DataType.FLOAT, shape), flat]);
    const missing = b.op('IsNaN', [given]);
    const zero = b.scalar(0);
    const present = b.op('Where', [missing, zero, b.scalar(1)]);
    const target = b.op('Where', [missing, zero, given]);
    const o = b.op('Reshape', [output, flat]);
    const { each, slope } = emit(b, o, target, options);
    const share = b.op('Unsqueeze', [shares(b, weight), b.ints([1])]);
    const counts = b.op('Max', [b.op('ReduceSum', [present, b.ints([1])], { keepdims: 1 }), b.scalar(1)]);
    const factor = b.op('Mul', [present, b.op('Div', [share, counts])]);
    const gradient = b.op('Reshape', [b.op('Mul', [slope, factor]), b.ints(shape)]);
    return { loss: sum(b, b.op('Mul', [each, factor])), correct: b.op('Identity', [zero]), gradient };
  },
  tfjs(tf, { output, target: y, weight, options }) {
    const batch = weight.length;
    const shape: [number, number] = [batch, y.length / batch];
    const values = Float32Array.from(y);
    const present = tf.tensor2d(
      values.map((v) => (Number.isNaN(v) ? 0 : 1)),
      shape,
    );
    const target = tf.tensor2d(
      values.map((v) => (Number.isNaN(v) ? 0 : v)),
      shape,
    );
    const o = tf.reshape(output, shape);
    const counts = tf.maximum(tf.sum(present, 1, true), 1);
    const share = tf.reshape(tfShares(tf, tf.tensor1d(weight) as Tensor1D), [batch, 1]);
    const factor = tf.mul(present, tf.div(share, counts));
    return { loss: tf.sum(tf.mul(tfjs(tf, o, target, options), factor)), correct: tf.scalar(0) };
  },
});

/** l = (o - y)^2. */
export const mse = valueLoss({
  about: 'values: the mean of the squared differences',
  emit(b, o, y) {
    const d = b.op('Sub', [o, y]);
    return { each: b.op('Mul', [d, d]), slope: b.op('Mul', [d, b.scalar(2)]) };
  },
  tfjs: (tf, o, y) => tf.square(tf.sub(o, y)),
});

/**
 * l = d^2 / 2 inside delta, delta (|d| - delta / 2) outside, d = o - y (Huber 1964). With c = d cut to [-delta, delta],
 * c (d - c / 2) is both.
 */
export const huber = valueLoss({
  about: 'values with outliers: a square up to `delta`, a line beyond',
  emit(b, o, y, { delta = 1 }) {
    const d = b.op('Sub', [o, y]);
    if (!(delta > 0)) throw new ModelError('ECAVG_MODEL_OPTION', `huber: delta is ${delta}; it must be positive`);
    const c = b.op('Clip', [d, b.scalar(-delta), b.scalar(delta)]);
    return { each: b.op('Mul', [c, b.op('Sub', [d, b.op('Mul', [c, b.scalar(0.5)])])]), slope: c };
  },
  tfjs(tf, o, y, { delta = 1 }) {
    const d = tf.sub(o, y);
    const c = tf.clipByValue(d, -delta, delta);
    return tf.mul(c, tf.sub(d, tf.mul(c, 0.5)));
  },
});

/** l = log(1 + e^o) - o y, in the form that does not overflow: max(o, 0) - o y + log(1 + e^-|o|). */
export const bceWithLogits = valueLoss({
  about: 'values in [0, 1], each a probability of its own; the output before the sigmoid',
  emit(b, o, y) {
    const tail = b.op('Softplus', [b.op('Neg', [b.op('Abs', [o])])]);
    const each = b.op('Add', [b.op('Sub', [b.op('Relu', [o]), b.op('Mul', [o, y])]), tail]);
    return { each, slope: b.op('Sub', [b.op('Sigmoid', [o]), y]) };
  },
  tfjs: (tf, o, y) => tf.add(tf.sub(tf.relu(o), tf.mul(o, y)), tf.softplus(tf.neg(tf.abs(o)))),
});
