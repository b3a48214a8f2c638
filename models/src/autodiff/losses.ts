import type { GraphBuilder } from '../onnx/builder.js';
import { DataType } from '../onnx/model.js';

/** Losses that a training graph can be built with. */
export const LOSSES = ['cross-entropy', 'mse'] as const;
export type Loss = (typeof LOSSES)[number];

/** Names and element types of the graph inputs that carry the target of a batch. */
export interface LossOutputs {
  /** Scalar: the weighted mean loss of the batch. */
  readonly loss: string;
  /** Scalar: weighted number of correct predictions (0 for losses without classes). */
  readonly correct: string;
  /** dL/d(model output), of the output's shape. */
  readonly gradient: string;
}

/**
 * Emits the loss of a batch and its gradient. Each sample has a weight: 0 leaves it out, so that the
 * last, shorter batch of an epoch is exact in a graph of fixed batch size.
 */
export function emitLoss(b: GraphBuilder, loss: Loss, output: string, shape: readonly number[]): LossOutputs {
  const batch = shape[0] ?? 1;
  const weight = b.input('weight', DataType.FLOAT, [batch]);
  const share = b.op('Div', [weight, b.op('ReduceSum', [weight], { keepdims: 0 })]);
  return loss === 'cross-entropy'
    ? crossEntropy(b, output, shape, weight, share)
    : meanSquaredError(b, output, shape, share);
}

/** L = -sum_i s_i log softmax(z_i)[y_i]; dL/dz_i = s_i (softmax(z_i) - onehot(y_i)). */
function crossEntropy(
  b: GraphBuilder,
  logits: string,
  [batch = 1, classes = 1]: readonly number[],
  weight: string,
  share: string,
): LossOutputs {
  const y = b.op('Cast', [b.input('y', DataType.INT32, [batch])], { to: DataType.INT64 });
  const values = b.floats(Float32Array.of(0, 1), [2]);
  const oneHot = b.op('OneHot', [y, b.ints([classes]), values], { axis: -1 });
  const logProbability = b.op('LogSoftmax', [logits], { axis: -1 });
  const picked = b.op('ReduceSum', [b.op('Mul', [logProbability, oneHot]), b.ints([1])], { keepdims: 0 });
  const loss = b.op('Neg', [b.op('ReduceSum', [b.op('Mul', [picked, share])], { keepdims: 0 })]);
  const difference = b.op('Sub', [b.op('Exp', [logProbability]), oneHot]);
  const gradient = b.op('Mul', [difference, b.op('Unsqueeze', [share, b.ints([1])])]);
  const hit = b.op('Cast', [b.op('Equal', [b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }), y])], {
    to: DataType.FLOAT,
  });
  const correct = b.op('ReduceSum', [b.op('Mul', [hit, weight])], { keepdims: 0 });
  return { loss, correct, gradient };
}

/** L = sum_i s_i mean_j (o_ij - y_ij)^2; the target `y` has the output's shape. */
function meanSquaredError(b: GraphBuilder, output: string, shape: readonly number[], share: string): LossOutputs {
  const batch = shape[0] ?? 1;
  const width = shape.slice(1).reduce((a, d) => a * d, 1);
  const y = b.input('y', DataType.FLOAT, shape);
  const difference = b.op('Sub', [output, y]);
  const flat = b.op('Reshape', [difference, b.ints([batch, width])]);
  const squares = b.op('ReduceMean', [b.op('Mul', [flat, flat])], { axes: [1], keepdims: 0 });
  const loss = b.op('ReduceSum', [b.op('Mul', [squares, share])], { keepdims: 0 });
  const scaled = b.op('Mul', [flat, b.op('Unsqueeze', [b.op('Mul', [share, b.scalar(2 / width)]), b.ints([1])])]);
  const gradient = b.op('Reshape', [scaled, b.ints(shape)]);
  return { loss, correct: b.op('Identity', [b.scalar(0)]), gradient };
}
