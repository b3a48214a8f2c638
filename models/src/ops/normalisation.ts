import type { Tensor } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import { floatAttr, intAttr, type NodeProto } from '../onnx/model.js';
import {
  axisOf,
  type GradContext,
  type GradRule,
  input,
  output,
  product,
  unbroadcast,
  unsupported,
} from './gradient.js';
import { given, type TfOp } from './kernel.js';
import type { Ops, TrainingForm } from './record.js';

/** Everything of x [N, C, ...] but the channels. */
const statisticAxes = (rank: number): number[] => [...Array(rank).keys()].filter((i) => i !== 1);

const mean = (b: GraphBuilder, x: string, axes: readonly number[], count: number): string =>
  b.op('Mul', [b.op('ReduceSum', [x, b.ints(axes)], { keepdims: 1 }), b.scalar(1 / count)]);

/** dx = inv (g - mean(g) - n mean(g n)) with g = dL/dn, n the normalised input: means over `axes`. */
function normalizedGradient(
  b: GraphBuilder,
  g: string,
  normal: string,
  inverse: string,
  axes: readonly number[],
  count: number,
): string {
  const correlation = b.op('Mul', [normal, mean(b, b.op('Mul', [g, normal]), axes, count)]);
  return b.op('Mul', [inverse, b.op('Sub', [b.op('Sub', [g, mean(b, g, axes, count)]), correlation])]);
}

/** Sum of squares of each channel of x [N, C, ...]: two small reductions run faster than one over scattered axes. */
function sumOfSquares(b: GraphBuilder, x: string, shape: readonly number[]): string {
  const [batch = 1, channels = 1] = shape;
  const rows = b.op('Reshape', [x, b.ints([batch, channels, product(shape.slice(2))])]);
  // Its axes became an input in opset 18.
  const each =
    b.opset >= 18
      ? b.op('ReduceSumSquare', [rows, b.ints([2])], { keepdims: 0 })
      : b.op('ReduceSumSquare', [rows], { axes: [2], keepdims: 0 });
  return b.op('ReduceSum', [each, b.ints([0])], { keepdims: 0 });
}

const batchNormInputs = (node: NodeProto) => {
  const [x, scale, bias, runMean, runVariance] = [0, 1, 2, 3, 4].map((i) => input(node, i));
  return { x, scale, bias, runMean, runVariance } as Record<'x' | 'scale' | 'bias' | 'runMean' | 'runVariance', string>;
};

/** [C] -> [C, 1, ...], to stand beside x [N, C, ...]. */
const alongChannels = (b: GraphBuilder, t: string, shape: readonly number[]): string =>
  b.op('Reshape', [t, b.ints([shape[1] ?? 1, ...shape.slice(2).map(() => 1)])]);

/**
 * Writes a BatchNormalization node in training form (Ioffe and Szegedy 2015, Algorithm 1), since ONNX
 * Runtime's CPU kernel has only the inference form: the batch's own mean and population variance, and running
 * statistics r <- m r + (1 - m) batch, with m the node's `momentum` (ONNX BatchNormalization-15). Given the batch's
 * statistics as inputs, that kernel then does the rest in one pass over memory.
 */
const withBatchStatistics: TrainingForm = (node, ctx) => {
  const { b } = ctx;
  const { x, scale, bias, runMean, runVariance } = batchNormInputs(node);
  if (!ctx.renewed(runMean)) return false;
  const shape = ctx.shape(x);
  const axes = b.ints(statisticAxes(shape.length));
  const share = b.scalar(1 / product(statisticAxes(shape.length).map((a) => shape[a] ?? 1)));
  const epsilon = floatAttr(node, 'epsilon', 1e-5);
  const batchMean = b.op('Mul', [b.op('ReduceSum', [x, axes], { keepdims: 0 }), share]);
  // The mean is taken off before squaring: E[x^2] - E[x]^2 would lose all digits of data far from 0.
  const centred = b.op('Sub', [x, alongChannels(b, batchMean, shape)]);
  const variance = b.op('Mul', [sumOfSquares(b, centred, shape), share]);
  b.named(output(node), 'BatchNormalization', [x, scale, bias, batchMean, variance], { epsilon: { float: epsilon } });
  const inverse = b.op('Reciprocal', [b.op('Sqrt', [b.op('Add', [variance, b.scalar(epsilon)])])]);
  const momentum = floatAttr(node, 'momentum', 0.9);
  const blend = (old: string, now: string): string =>
    b.op('Add', [b.op('Mul', [old, b.scalar(momentum)]), b.op('Mul', [now, b.scalar(1 - momentum)])]);
  const next = [blend(runMean, batchMean), blend(runVariance, variance)] as const;
  ctx.save(node, { mean: batchMean, inverse });
  ctx.renew(runMean, next[0]);
  ctx.renew(runVariance, next[1]);
  return true;
};

const batchNorm: GradRule = (node, dy, ctx) => {
  const { b, shape, needs } = ctx;
  const { x, scale, bias, runMean, runVariance } = batchNormInputs(node);
  const dims = shape(x);
  const axes = b.ints(statisticAxes(dims.length));
  const sum = (t: string): string => b.op('ReduceSum', [t, axes], { keepdims: 0 });
  const saved = ctx.saved.get(node);
  // Without saved tensors the statistics are frozen, and the layer is an affine map of each channel.
  const frozen = (): { mean: string; inverse: string } => ({
    mean: runMean,
    inverse: b.op('Reciprocal', [
      b.op('Sqrt', [b.op('Add', [runVariance, b.scalar(floatAttr(node, 'epsilon', 1e-5))])]),
    ]),
  });
  const { mean, inverse } = (saved as { mean: string; inverse: string } | undefined) ?? frozen();
  const total = sum(dy);
  // sum(dy (x - mean)), without keeping or making the difference.
  const correlation = b.op('Sub', [sum(b.op('Mul', [dy, x])), b.op('Mul', [mean, total])]);
  const factor = b.op('Mul', [scale, inverse]);
  let dX: string | undefined;
  if (needs(x) && !saved) dX = b.op('Mul', [dy, alongChannels(b, factor, dims)]);
  else if (needs(x)) {
    // dx = s i (dy - mean(dy) - c i^2 mean(dy c)), c = x - m the centred input, i the inverse deviation, s the scale;
    // all but two products of the size of x are worked out for each channel first.
    const share = b.scalar(1 / product(statisticAxes(dims.length).map((a) => dims[a] ?? 1)));
    const slope = b.op('Mul', [
      b.op('Mul', [b.op('Mul', [correlation, share]), b.op('Mul', [inverse, inverse])]),
      factor,
    ]);
    const shift = b.op('Sub', [b.op('Mul', [b.op('Mul', [total, share]), factor]), b.op('Mul', [slope, mean])]);
    // The inference kernel with mean 0 and deviation 1 is dy factor - shift in one pass.
    const unit = (value: number): string => b.floats(new Float32Array(dims[1] ?? 1).fill(value), [dims[1] ?? 1]);
    const operands = [dy, factor, b.op('Neg', [shift]), unit(0), unit(1)];
    const direct = b.op('BatchNormalization', operands, { epsilon: { float: 0 } });
    dX = b.op('Sub', [direct, b.op('Mul', [x, alongChannels(b, slope, dims)])]);
  }
  return [dX, needs(scale) ? b.op('Mul', [correlation, inverse]) : undefined, needs(bias) ? total : undefined];
};

/** The forward node also yields the mean and the inverse deviation of each row (Ba, Kiros, Hinton 2016). */
const layerNorm: GradRule = (node, dy, { b, shape, needs, forward }) => {
  const [x, scale, bias] = [input(node, 0), input(node, 1), input(node, 2)];
  const dims = shape(x);
  const first = axisOf(intAttr(node, 'axis', -1), dims.length);
  const axes = [...dims.keys()].slice(first);
  const copy = forward(node);
  for (const i of [1, 2]) copy.output[i] ||= b.fresh('layernorm');
  const [rowMean, inverse] = [output(copy, 1), output(copy, 2)];
  const normal = b.op('Mul', [b.op('Sub', [x, rowMean]), inverse]);
  const count = product(axes.map((a) => dims[a] ?? 1));
  return [
    needs(x) ? normalizedGradient(b, b.op('Mul', [dy, scale]), normal, inverse, axes, count) : undefined,
    needs(scale) ? unbroadcast(b, b.op('Mul', [dy, normal]), dims, shape(scale)) : undefined,
    bias && needs(bias) ? unbroadcast(b, dy, dims, shape(bias)) : undefined,
  ];
};

/** y = x mask, where the trainer draws the mask: 0, or 1 / (1 - ratio). The ratio is an input from opset 12 on. */
const masked: TrainingForm = (node, ctx) => {
  const ratio = ctx.constant(input(node, 1)) ?? floatAttr(node, 'ratio', 0.5);
  const mask = ctx.mask(ctx.shape(output(node)), ratio);
  ctx.save(node, { mask });
  ctx.b.named(output(node), 'Mul', [input(node, 0), mask]);
  return true;
};

const dropout: GradRule = (node, dy, ctx: GradContext) => {
  const mask = ctx.saved.get(node)?.mask;
  return [mask ? ctx.b.op('Mul', [dy, mask]) : dy];
};

const dropoutKernel: TfOp = (_node, inputs, { tf, mask: next }) => {
  const [x] = given(inputs);
  const mask = next();
  return [mask ? tf.mul(x, mask) : x];
};

const batchNormKernel: TfOp = (node, inputs, ctx) => {
  const { tf } = ctx;
  const [x, scale, bias, mean, variance] = inputs;
  if (!x || !scale || !bias || !mean || !variance) return unsupported(node, 'an input is missing');
  const column = (t: Tensor): Tensor => tf.reshape(t, [t.size, ...x.shape.slice(2).map(() => 1)]);
  const { runMean, runVariance } = batchNormInputs(node);
  let [m, v] = [mean, variance];
  if (ctx.renewed(runMean)) {
    const axes = [...x.shape.keys()].filter((i) => i !== 1);
    m = tf.mean(x, axes);
    v = tf.mean(tf.square(tf.sub(x, column(m))), axes);
    const momentum = floatAttr(node, 'momentum', 0.9);
    const blend = (old: Tensor, now: Tensor): Tensor => tf.add(tf.mul(old, momentum), tf.mul(now, 1 - momentum));
    ctx.renew(runMean, blend(mean, m));
    ctx.renew(runVariance, blend(variance, v));
  }
  const deviation = tf.sqrt(tf.add(v, floatAttr(node, 'epsilon', 1e-5)));
  const normal = tf.div(tf.sub(x, column(m)), column(deviation));
  return [tf.add(tf.mul(normal, column(scale)), column(bias))];
};

const layerNormKernel: TfOp = (node, inputs, { tf }) => {
  const [x, scale, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
  const axes = [...x.shape.keys()].slice(axisOf(intAttr(node, 'axis', -1), x.rank));
  const centred = tf.sub(x, tf.mean(x, axes, true));
  const variance = tf.mean(tf.square(centred), axes, true);
  const normal = tf.div(centred, tf.sqrt(tf.add(variance, floatAttr(node, 'epsilon', 1e-5))));
  const scaled = tf.mul(normal, scale);
  return [bias ? tf.add(scaled, bias) : scaled];
};

/** Layers that behave otherwise in training than in use, and normalisation of rows. */
export const normalisation = {
  BatchNormalization: {
    units: 'normalisation',
    weighs: true,
    gradient: batchNorm,
    statistics: { parameters: [1, 2], mean: 3, variance: 4 },
    training: withBatchStatistics,
    kernel: batchNormKernel,
    forms: 'batch or frozen statistics',
  },
  LayerNormalization: { units: 'stops', weighs: true, gradient: layerNorm, kernel: layerNormKernel },
  Dropout: { units: 'channelwise', gradient: dropout, training: masked, kernel: dropoutKernel },
} satisfies Ops;
