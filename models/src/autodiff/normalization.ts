import type { GraphBuilder } from '../onnx/builder.js';
import { floatAttr, intAttr, type NodeProto } from '../onnx/model.js';
import { axisOf, type GradContext, type GradRule, input, output, product, type Rules, unbroadcast } from './rules.js';

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

export interface BatchNormOutputs {
  readonly saved: Readonly<Record<string, string>>;
  /** New running mean and variance, [C] each. */
  readonly runningMean: string;
  readonly runningVariance: string;
}

/**
 * Writes a BatchNormalization node in training form (Ioffe and Szegedy 2015, Algorithm 1), since ONNX
 * Runtime's CPU kernel has only the inference form: the batch's own mean and population variance, and running
 * statistics r <- m r + (1 - m) batch, with m the node's `momentum` (ONNX BatchNormalization-15).
 */
export function expandBatchNorm(b: GraphBuilder, node: NodeProto, shape: readonly number[]): BatchNormOutputs {
  const [x, scale, bias, runMean, runVariance] = [0, 1, 2, 3, 4].map((i) => input(node, i)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const axes = statisticAxes(shape.length);
  const count = product(axes.map((a) => shape[a] ?? 1));
  const channels = [shape[1] ?? 1, ...shape.slice(2).map(() => 1)];
  const wide = (t: string): string => b.op('Reshape', [t, b.ints(channels)]);
  const flat = (t: string): string => b.op('Reshape', [t, b.ints([-1])]);
  const batchMean = mean(b, x, axes, count);
  const centred = b.op('Sub', [x, batchMean]);
  const variance = mean(b, b.op('Mul', [centred, centred]), axes, count);
  const epsilon = floatAttr(node, 'epsilon', 1e-5);
  const inverse = b.op('Reciprocal', [b.op('Sqrt', [b.op('Add', [variance, b.scalar(epsilon)])])]);
  const normal = b.op('Mul', [centred, inverse]);
  b.named(output(node), 'Add', [b.op('Mul', [normal, wide(scale)]), wide(bias)]);
  const momentum = floatAttr(node, 'momentum', 0.9);
  const blend = (old: string, now: string): string =>
    b.op('Add', [b.op('Mul', [old, b.scalar(momentum)]), b.op('Mul', [flat(now), b.scalar(1 - momentum)])]);
  return {
    saved: { normal, inverse },
    runningMean: blend(runMean, batchMean),
    runningVariance: blend(runVariance, variance),
  };
}

const batchNorm: GradRule = (node, dy, ctx) => {
  const { b, shape, needs } = ctx;
  const [x, scale, bias, runMean, runVariance] = [0, 1, 2, 3, 4].map((i) => input(node, i)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const dims = shape(x);
  const axes = statisticAxes(dims.length);
  const channels = [dims[1] ?? 1, ...dims.slice(2).map(() => 1)];
  const wide = (t: string): string => b.op('Reshape', [t, b.ints(channels)]);
  const sum = (t: string): string => b.op('ReduceSum', [t, b.ints(axes)], { keepdims: 0 });
  const saved = ctx.saved.get(node);
  // Without saved tensors the statistics are frozen, and the layer is an affine map of each channel.
  const frozenInverse = (): string => {
    const shifted = b.op('Add', [runVariance, b.scalar(floatAttr(node, 'epsilon', 1e-5))]);
    return wide(b.op('Reciprocal', [b.op('Sqrt', [shifted])]));
  };
  const inverse = saved?.inverse ?? frozenInverse();
  const normal = (): string => saved?.normal ?? b.op('Mul', [b.op('Sub', [x, wide(runMean)]), inverse]);
  let dX: string | undefined;
  if (needs(x)) {
    const g = b.op('Mul', [dy, wide(scale)]);
    const count = product(axes.map((a) => dims[a] ?? 1));
    dX = saved ? normalizedGradient(b, g, normal(), inverse, axes, count) : b.op('Mul', [g, inverse]);
  }
  return [dX, needs(scale) ? sum(b.op('Mul', [dy, normal()])) : undefined, needs(bias) ? sum(dy) : undefined];
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

/** y = x mask, where the trainer draws the mask: 0, or 1 / (1 - ratio). */
const dropout: GradRule = (node, dy, ctx: GradContext) => {
  const mask = ctx.saved.get(node)?.mask;
  return [mask ? ctx.b.op('Mul', [dy, mask]) : dy];
};

export const normalizationRules: Rules = {
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  Dropout: dropout,
};
