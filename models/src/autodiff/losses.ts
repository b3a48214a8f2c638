import type { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError } from '../onnx/model.js';
import { STEP } from './step.js';

/** Losses that a training graph can be built with. */
export const LOSSES = [
  'cross-entropy',
  'generalized-cross-entropy',
  'soft-cross-entropy',
  'mse',
  'huber',
  'bce-with-logits',
] as const;
export type Loss = (typeof LOSSES)[number];

/** Losses whose target is a class index. */
export const CLASS_LOSSES: ReadonlySet<Loss> = new Set(['cross-entropy', 'generalized-cross-entropy']);

/** The loss whose target is a distribution over the classes: distillation from other models. */
export const SOFT_LOSS: Loss = 'soft-cross-entropy';

export interface LossOptions {
  /** Cross-entropy: share of the target spread over all classes, in [0, 1) (Szegedy et al. 2016, section 7). */
  readonly labelSmoothing?: number;
  /** Cross-entropy losses: a weight for each class. */
  readonly classWeights?: readonly number[];
  /** Generalised cross-entropy: q in (0, 1], default 0.7 (Zhang and Sabuncu 2018, arXiv:1805.07836). */
  readonly q?: number;
  /** Huber: where the square turns into a line, default 1 (Huber 1964). */
  readonly delta?: number;
}

export interface LossOutputs {
  /** Scalar: the weighted mean loss of the batch. */
  readonly loss: string;
  /** Scalar: weighted number of correct predictions (0 for losses without classes). */
  readonly correct: string;
  /** dL/d(model output), of the output's shape. */
  readonly gradient: string;
}

/**
 * Emits the loss of a batch and its gradient. Each sample has a `weight`: 0 leaves it out, so that the
 * last, shorter batch of an epoch is exact in a graph of fixed batch size. Missing targets leave no trace:
 * class -1 for class losses, NaN in single values for the others.
 */
export function emitLoss(
  b: GraphBuilder,
  loss: Loss,
  output: string,
  shape: readonly number[],
  options: LossOptions = {},
): LossOutputs {
  const weight = b.input(STEP.weight, DataType.FLOAT, [shape[0] ?? 1]);
  if (loss === SOFT_LOSS) return softLoss(b, output, shape, weight);
  return CLASS_LOSSES.has(loss)
    ? classLoss(b, loss, output, shape, weight, options)
    : valueLoss(b, loss, output, shape, weight, options);
}

const sum = (b: GraphBuilder, x: string, axes?: readonly number[]): string =>
  b.op('ReduceSum', axes ? [x, b.ints(axes)] : [x], { keepdims: 0 });

/** w / max(sum w, tiny): a batch without any target has loss and gradient 0. */
const shares = (b: GraphBuilder, weight: string): string =>
  b.op('Div', [weight, b.op('Max', [sum(b, weight), b.scalar(1e-12)])]);

/**
 * Cross-entropy: L = -sum_i s_i sum_c t_ic log p_ic, dL/dz = s (p - t), with t the smoothed one-hot target.
 * Generalised: L = sum_i s_i (1 - p_iy^q) / q, dL/dz = s p_y^q (p - t).
 */
function classLoss(
  b: GraphBuilder,
  loss: Loss,
  logits: string,
  shape: readonly number[],
  weight: string,
  options: LossOptions,
): LossOutputs {
  const [batch = 1, classes = 1] = shape;
  if (shape.length !== 2) {
    throw new ModelError(`${loss} needs an output of shape [batch, classes]; this model gives [${shape.join(', ')}]`);
  }
  const labels = b.input(STEP.target, DataType.INT32, [batch]);
  const present = b.op(
    'Cast',
    [b.op('GreaterOrEqual', [labels, b.op('Cast', [b.scalar(0)], { to: DataType.INT32 })])],
    {
      to: DataType.FLOAT,
    },
  );
  const y = b.op('Cast', [labels], { to: DataType.INT64 });
  const oneHot = b.op('OneHot', [y, b.ints([classes]), b.floats(Float32Array.of(0, 1), [2])], { axis: -1 });
  const counted = b.op('Mul', [weight, present]);
  const share = shares(b, withClassWeights(b, counted, oneHot, classes, options.classWeights));
  const logProbability = b.op('LogSoftmax', [logits], { axis: -1 });
  const probability = b.op('Exp', [logProbability]);
  const column = (x: string): string => b.op('Unsqueeze', [x, b.ints([1])]);
  const hit = b.op('Cast', [b.op('Equal', [b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }), y])], {
    to: DataType.FLOAT,
  });
  const correct = sum(b, b.op('Mul', [hit, counted]));
  if (loss === 'generalized-cross-entropy') {
    const q = options.q ?? 0.7;
    if (!(q > 0 && q <= 1)) throw new ModelError(`generalized-cross-entropy: q is ${q}; it must lie in (0, 1]`);
    const mine = b.op('Exp', [b.op('Mul', [sum(b, b.op('Mul', [logProbability, oneHot]), [1]), b.scalar(q)])]);
    const each = b.op('Mul', [b.op('Sub', [b.scalar(1), mine]), b.scalar(1 / q)]);
    const factor = column(b.op('Mul', [share, mine]));
    const gradient = b.op('Mul', [b.op('Sub', [probability, oneHot]), factor]);
    return { loss: sum(b, b.op('Mul', [each, share])), correct, gradient };
  }
  const smooth = options.labelSmoothing ?? 0;
  if (!(smooth >= 0 && smooth < 1))
    throw new ModelError(`cross-entropy: labelSmoothing is ${smooth}; it must lie in [0, 1)`);
  const target =
    smooth === 0 ? oneHot : b.op('Add', [b.op('Mul', [oneHot, b.scalar(1 - smooth)]), b.scalar(smooth / classes)]);
  const each = sum(b, b.op('Mul', [logProbability, target]), [1]);
  const gradient = b.op('Mul', [b.op('Sub', [probability, target]), column(share)]);
  return { loss: b.op('Neg', [sum(b, b.op('Mul', [each, share]))]), correct, gradient };
}

/** L = -sum_i s_i sum_c t_ic log p_ic, dL/dz = s (p sum_c t - t). NaN in a sample's targets leaves it out. */
function softLoss(b: GraphBuilder, logits: string, shape: readonly number[], weight: string): LossOutputs {
  if (shape.length !== 2)
    throw new ModelError(
      `${SOFT_LOSS} needs an output of shape [batch, classes]; this model gives [${shape.join(', ')}]`,
    );
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
  const column = b.op('Unsqueeze', [share, b.ints([1])]);
  const mass = b.op('ReduceSum', [target, b.ints([1])], { keepdims: 1 });
  const wanted = b.op('Sub', [b.op('Mul', [b.op('Exp', [logProbability]), mass]), target]);
  const gradient = b.op('Mul', [wanted, column]);
  const best = (x: string): string => b.op('ArgMax', [x], { axis: 1, keepdims: 0 });
  const hit = b.op('Cast', [b.op('Equal', [best(logits), best(target)])], { to: DataType.FLOAT });
  return {
    loss: b.op('Neg', [sum(b, b.op('Mul', [each, share]))]),
    correct: sum(b, b.op('Mul', [hit, counted])),
    gradient,
  };
}

function withClassWeights(
  b: GraphBuilder,
  weight: string,
  oneHot: string,
  classes: number,
  classWeights: readonly number[] | undefined,
): string {
  if (!classWeights) return weight;
  if (classWeights.length !== classes) {
    throw new ModelError(`${classWeights.length} class weights for ${classes} classes`);
  }
  const table = b.floats(Float32Array.from(classWeights), [1, classes]);
  return b.op('Mul', [weight, sum(b, b.op('Mul', [oneHot, table]), [1])]);
}

/** Losses of single values: L = sum_i s_i mean_j l(o_ij, y_ij), the mean over the targets that are there. */
function valueLoss(
  b: GraphBuilder,
  loss: Loss,
  output: string,
  shape: readonly number[],
  weight: string,
  options: LossOptions,
): LossOutputs {
  const [batch = 1] = shape;
  const width = shape.slice(1).reduce((a, d) => a * d, 1);
  const flat = b.ints([batch, width]);
  const given = b.op('Reshape', [b.input(STEP.target, DataType.FLOAT, shape), flat]);
  const missing = b.op('IsNaN', [given]);
  const zero = b.scalar(0);
  const present = b.op('Where', [missing, zero, b.scalar(1)]);
  const target = b.op('Where', [missing, zero, given]);
  const o = b.op('Reshape', [output, flat]);
  const { each, slope } = pointwise(b, loss, o, target, options);
  const share = b.op('Unsqueeze', [shares(b, weight), b.ints([1])]);
  const counts = b.op('Max', [b.op('ReduceSum', [present, b.ints([1])], { keepdims: 1 }), b.scalar(1)]);
  const factor = b.op('Mul', [present, b.op('Div', [share, counts])]);
  const gradient = b.op('Reshape', [b.op('Mul', [slope, factor]), b.ints(shape)]);
  return { loss: sum(b, b.op('Mul', [each, factor])), correct: b.op('Identity', [zero]), gradient };
}

/** l and dl/do of each value. */
function pointwise(
  b: GraphBuilder,
  loss: Loss,
  o: string,
  y: string,
  options: LossOptions,
): { each: string; slope: string } {
  if (loss === 'bce-with-logits') {
    // log(1 + e^o) - o y, in the form that does not overflow: max(o, 0) - o y + log(1 + e^-|o|).
    const tail = b.op('Softplus', [b.op('Neg', [b.op('Abs', [o])])]);
    const each = b.op('Add', [b.op('Sub', [b.op('Relu', [o]), b.op('Mul', [o, y])]), tail]);
    return { each, slope: b.op('Sub', [b.op('Sigmoid', [o]), y]) };
  }
  const d = b.op('Sub', [o, y]);
  if (loss === 'mse') return { each: b.op('Mul', [d, d]), slope: b.op('Mul', [d, b.scalar(2)]) };
  // d^2 / 2 inside delta, delta (|d| - delta / 2) outside: with c = clip(d), c (d - c / 2) is both.
  const delta = options.delta ?? 1;
  if (!(delta > 0)) throw new ModelError(`huber: delta is ${delta}; it must be positive`);
  const c = b.op('Clip', [d, b.scalar(-delta), b.scalar(delta)]);
  return { each: b.op('Mul', [c, b.op('Sub', [d, b.op('Mul', [c, b.scalar(0.5)])])]), slope: c };
}
