import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { STEP } from '../autodiff/step.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError } from '../onnx/model.js';
import type { Tf } from '../ops/kernel.js';
import type { Loss, LossOptions } from './names.js';
import { type LossRecord, shares, sum, tfShares } from './record.js';

/** What the losses of class indices share, as tensors of a training graph; shapes [batch] and [batch, classes]. */
interface ClassBatch {
  readonly share: string;
  readonly oneHot: string;
  readonly classes: number;
  readonly logProbability: string;
  readonly probability: string;
}

/** The same in TensorFlow.js. */
interface TfClassBatch {
  readonly share: Tensor;
  readonly oneHot: Tensor;
  readonly classes: number;
  readonly logProbability: Tensor;
}

interface ClassLoss {
  readonly about: string;
  emit(b: GraphBuilder, batch: ClassBatch, options: LossOptions): { loss: string; gradient: string };
  tfjs(tf: Tf, batch: TfClassBatch, options: LossOptions): Tensor;
}

/** [batch] as a column beside [batch, classes]. */
const column = (b: GraphBuilder, x: string): string => b.op('Unsqueeze', [x, b.ints([1])]);

function needsClasses(loss: Loss, shape: readonly number[]): void {
  if (shape.length === 2) return;
  throw new ModelError(
    'ECAVG_TRAINING_DATA',
    `${loss} needs an output of shape [batch, classes]; this model gives [${shape.join(', ')}]`,
  );
}

/** A loss of logits and class indices; class -1 leaves a sample out. */
const classLoss = (name: Loss, { about, emit, tfjs }: ClassLoss): LossRecord => ({
  target: 'class',
  about,
  emit(b, { output: logits, shape, weight, options }) {
    needsClasses(name, shape);
    const [batch = 1, classes = 1] = shape;
    const labels = b.input(STEP.target, DataType.INT32, [batch]);
    const zero = b.op('Cast', [b.scalar(0)], { to: DataType.INT32 });
    const present = b.op('Cast', [b.op('GreaterOrEqual', [labels, zero])], { to: DataType.FLOAT });
    const y = b.op('Cast', [labels], { to: DataType.INT64 });
    const oneHot = b.op('OneHot', [y, b.ints([classes]), b.floats(Float32Array.of(0, 1), [2])], { axis: -1 });
    const counted = b.op('Mul', [weight, present]);
    const share = shares(b, withClassWeights(b, counted, oneHot, classes, options.classWeights));
    const logProbability = b.op('LogSoftmax', [logits], { axis: -1 });
    const probability = b.op('Exp', [logProbability]);
    const best = b.op('ArgMax', [logits], { axis: 1, keepdims: 0 });
    const hit = b.op('Cast', [b.op('Equal', [best, y])], { to: DataType.FLOAT });
    const correct = sum(b, b.op('Mul', [hit, counted]));
    return { ...emit(b, { share, oneHot, classes, logProbability, probability }, options), correct };
  },
  tfjs(tf, { output, target: y, weight, options }) {
    const logits = output as Tensor2D;
    const classes = logits.shape[1];
    const counted = tf.tensor1d(weight.map((w, i) => ((y[i] ?? -1) >= 0 ? w : 0)));
    const labels = tf.tensor1d(Int32Array.from(y), 'int32');
    const oneHot = tf.cast(tf.oneHot(labels, classes), 'float32');
    const { classWeights } = options;
    const weighted = classWeights
      ? tf.mul(counted, tf.sum(tf.mul(oneHot, tf.tensor2d([...classWeights], [1, classes])), 1))
      : counted;
    const share = tfShares(tf, weighted);
    const logProbability = tf.logSoftmax(logits);
    const hit = tf.cast(tf.equal(tf.argMax(logits, 1), labels), 'float32');
    const correct = tf.sum(tf.mul(hit, counted));
    return { loss: tfjs(tf, { share, oneHot, classes, logProbability }, options), correct };
  },
});

function withClassWeights(
  b: GraphBuilder,
  weight: string,
  oneHot: string,
  classes: number,
  classWeights: readonly number[] | undefined,
): string {
  if (!classWeights) return weight;
  if (classWeights.length !== classes) {
    throw new ModelError('ECAVG_MODEL_OPTION', `${classWeights.length} class weights for ${classes} classes`);
  }
  const table = b.floats(Float32Array.from(classWeights), [1, classes]);
  return b.op('Mul', [weight, sum(b, b.op('Mul', [oneHot, table]), [1])]);
}

/** L = -sum_i s_i sum_c t_ic log p_ic, dL/dz = s (p - t), with t the smoothed one-hot target and s the sample's share. */
export const crossEntropy = classLoss('cross-entropy', {
  about: 'class indices; label smoothing, class weights',
  emit(b, { share, oneHot, classes, logProbability, probability }, { labelSmoothing: smooth = 0 }) {
    if (!(smooth >= 0 && smooth < 1))
      throw new ModelError('ECAVG_MODEL_OPTION', `cross-entropy: labelSmoothing is ${smooth}; it must lie in [0, 1)`);
    const target =
      smooth === 0 ? oneHot : b.op('Add', [b.op('Mul', [oneHot, b.scalar(1 - smooth)]), b.scalar(smooth / classes)]);
    const each = sum(b, b.op('Mul', [logProbability, target]), [1]);
    const gradient = b.op('Mul', [b.op('Sub', [probability, target]), column(b, share)]);
    return { loss: b.op('Neg', [sum(b, b.op('Mul', [each, share]))]), gradient };
  },
  tfjs(tf, { share, oneHot, classes, logProbability }, { labelSmoothing = 0 }) {
    const target = tf.add(tf.mul(oneHot, 1 - labelSmoothing), labelSmoothing / classes);
    return tf.neg(tf.sum(tf.mul(tf.sum(tf.mul(logProbability, target), 1), share)));
  },
});

/** L = sum_i s_i (1 - p_iy^q) / q, dL/dz = s p_y^q (p - t) (Zhang and Sabuncu 2018, arXiv:1805.07836). */
export const generalizedCrossEntropy = classLoss('generalized-cross-entropy', {
  about: 'class indices of which some are wrong: `q` from 0 (cross-entropy) to 1 (mean absolute error)',
  emit(b, { share, oneHot, logProbability, probability }, { q = 0.7 }) {
    if (!(q > 0 && q <= 1))
      throw new ModelError('ECAVG_MODEL_OPTION', `generalized-cross-entropy: q is ${q}; it must lie in (0, 1]`);
    const mine = b.op('Exp', [b.op('Mul', [sum(b, b.op('Mul', [logProbability, oneHot]), [1]), b.scalar(q)])]);
    const each = b.op('Mul', [b.op('Sub', [b.scalar(1), mine]), b.scalar(1 / q)]);
    const factor = column(b, b.op('Mul', [share, mine]));
    const gradient = b.op('Mul', [b.op('Sub', [probability, oneHot]), factor]);
    return { loss: sum(b, b.op('Mul', [each, share])), gradient };
  },
  tfjs(tf, { share, oneHot, logProbability }, { q = 0.7 }) {
    const mine = tf.exp(tf.mul(tf.sum(tf.mul(logProbability, oneHot), 1), q));
    return tf.sum(tf.mul(tf.div(tf.sub(1, mine), q), share));
  },
});

/** L = -sum_i s_i sum_c t_ic log p_ic, dL/dz = s (p sum_c t - t). NaN in a sample's targets leaves it out. */
export const softCrossEntropy: LossRecord = {
  target: 'distribution',
  about: 'a distribution over the classes, for distillation',
  emit(b, { output: logits, shape, weight }) {
    needsClasses('soft-cross-entropy', shape);
    const given = b.input(STEP.target, DataType.FLOAT, shape);
    const missing = b.op('IsNaN', [given]);
    const zero = b.scalar(0);
    const target = b.op('Where', [missing, zero, given]);
    const gaps = sum(b, b.op('Where', [missing, b.scalar(1), zero]), [1]);
    const present = b.op('Cast', [b.op('Less', [gaps, b.scalar(0.5)])], { to: DataType.FLOAT });
    const counted = b.op('Mul', [weight, present]);
    const share = shares(b, counted);
    const logProbability = b.op('LogSoftmax', [logits], { axis: -1 });
    const each = sum(b, b.op('Mul', [logProbability, target]), [1]);
    const shareColumn = column(b, share);
    const mass = b.op('ReduceSum', [target, b.ints([1])], { keepdims: 1 });
    const wanted = b.op('Sub', [b.op('Mul', [b.op('Exp', [logProbability]), mass]), target]);
    const gradient = b.op('Mul', [wanted, shareColumn]);
    const best = (x: string): string => b.op('ArgMax', [x], { axis: 1, keepdims: 0 });
    const hit = b.op('Cast', [b.op('Equal', [best(logits), best(target)])], { to: DataType.FLOAT });
    return {
      loss: b.op('Neg', [sum(b, b.op('Mul', [each, share]))]),
      correct: sum(b, b.op('Mul', [hit, counted])),
      gradient,
    };
  },
  tfjs(tf, { output, target: y, weight }) {
    const logits = output as Tensor2D;
    const [batch, classes] = logits.shape;
    const values = Float32Array.from(y);
    const present = weight.map((w, i) => (values.subarray(i * classes, (i + 1) * classes).some(Number.isNaN) ? 0 : w));
    const target = tf.tensor2d(
      values.map((v) => (Number.isNaN(v) ? 0 : v)),
      [batch, classes],
    );
    const counted: Tensor1D = tf.tensor1d(present);
    const each = tf.sum(tf.mul(tf.logSoftmax(logits), target), 1);
    const hit = tf.cast(tf.equal(tf.argMax(logits, 1), tf.argMax(target, 1)), 'float32');
    return { loss: tf.neg(tf.sum(tf.mul(each, tfShares(tf, counted)))), correct: tf.sum(tf.mul(hit, counted)) };
  },
};
