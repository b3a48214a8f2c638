import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { TrainingInfo } from '../autodiff/info.js';
import { CLASS_LOSSES, SOFT_LOSS } from '../autodiff/losses.js';
import type { Tf } from './types.js';

export interface BatchLoss {
  /** Scalar: the weighted mean loss. */
  readonly loss: Tensor;
  /** Scalar: weighted number of correct predictions; 0 for losses without classes. */
  readonly correct: Tensor;
}

/**
 * The losses of `autodiff/losses.ts`, by the same definitions, in ops that TensorFlow.js differentiates itself.
 * @param y class indices (-1: no target), or values of the output's shape (NaN: no target).
 */
export function tfjsLoss(tf: Tf, info: TrainingInfo, out: Tensor, y: Int32Array | Float32Array, weight: Float32Array) {
  if (info.loss === SOFT_LOSS) return softLoss(tf, out as Tensor2D, y, weight);
  return CLASS_LOSSES.has(info.loss)
    ? classLoss(tf, info, out as Tensor2D, y, weight)
    : valueLoss(tf, info, out, y, weight);
}

const shares = (tf: Tf, weight: Tensor): Tensor => tf.div(weight, tf.maximum(tf.sum(weight), 1e-12));

function softLoss(tf: Tf, logits: Tensor2D, y: ArrayLike<number>, weight: Float32Array): BatchLoss {
  const [batch, classes] = logits.shape;
  const values = Float32Array.from(y);
  const present = weight.map((w, i) => (values.subarray(i * classes, (i + 1) * classes).some(Number.isNaN) ? 0 : w));
  const target = tf.tensor2d(
    values.map((v) => (Number.isNaN(v) ? 0 : v)),
    [batch, classes],
  );
  const counted = tf.tensor1d(present);
  const each = tf.sum(tf.mul(tf.logSoftmax(logits), target), 1);
  const hit = tf.cast(tf.equal(tf.argMax(logits, 1), tf.argMax(target, 1)), 'float32');
  return { loss: tf.neg(tf.sum(tf.mul(each, shares(tf, counted)))), correct: tf.sum(tf.mul(hit, counted)) };
}

function classLoss(
  tf: Tf,
  { loss, lossOptions = {} }: TrainingInfo,
  logits: Tensor2D,
  y: ArrayLike<number>,
  weight: Float32Array,
): BatchLoss {
  const classes = logits.shape[1];
  const counted = tf.tensor1d(weight.map((w, i) => ((y[i] ?? -1) >= 0 ? w : 0)));
  const labels = tf.tensor1d(Int32Array.from(y), 'int32');
  const oneHot = tf.cast(tf.oneHot(labels, classes), 'float32');
  const { classWeights, labelSmoothing = 0, q = 0.7 } = lossOptions;
  const weighted = classWeights
    ? tf.mul(counted, tf.sum(tf.mul(oneHot, tf.tensor2d([...classWeights], [1, classes])), 1))
    : counted;
  const share = shares(tf, weighted);
  const logProbability = tf.logSoftmax(logits);
  const hit = tf.cast(tf.equal(tf.argMax(logits, 1), labels), 'float32');
  const correct = tf.sum(tf.mul(hit, counted));
  if (loss === 'generalized-cross-entropy') {
    const mine = tf.exp(tf.mul(tf.sum(tf.mul(logProbability, oneHot), 1), q));
    return { loss: tf.sum(tf.mul(tf.div(tf.sub(1, mine), q), share)), correct };
  }
  const target = tf.add(tf.mul(oneHot, 1 - labelSmoothing), labelSmoothing / classes);
  return { loss: tf.neg(tf.sum(tf.mul(tf.sum(tf.mul(logProbability, target), 1), share))), correct };
}

function valueLoss(
  tf: Tf,
  { loss, lossOptions = {} }: TrainingInfo,
  out: Tensor,
  y: Int32Array | Float32Array,
  weight: Float32Array,
): BatchLoss {
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
  const o = tf.reshape(out, shape);
  const counts = tf.maximum(tf.sum(present, 1, true), 1);
  const share = tf.reshape(shares(tf, tf.tensor1d(weight) as Tensor1D), [batch, 1]);
  const factor = tf.mul(present, tf.div(share, counts));
  const each = pointwise(tf, loss, o, target, lossOptions.delta ?? 1);
  return { loss: tf.sum(tf.mul(each, factor)), correct: tf.scalar(0) };
}

function pointwise(tf: Tf, loss: TrainingInfo['loss'], o: Tensor, y: Tensor, delta: number): Tensor {
  if (loss === 'bce-with-logits') {
    return tf.add(tf.sub(tf.relu(o), tf.mul(o, y)), tf.softplus(tf.neg(tf.abs(o))));
  }
  const d = tf.sub(o, y);
  if (loss === 'mse') return tf.square(d);
  const c = tf.clipByValue(d, -delta, delta);
  return tf.mul(c, tf.sub(d, tf.mul(c, 0.5)));
}
