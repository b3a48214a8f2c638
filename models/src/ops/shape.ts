import type { Tensor } from '@tensorflow/tfjs-core';
import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';
import {
  axisOf,
  constantInts,
  type GradContext,
  type GradRule,
  input,
  output,
  product,
  unbroadcast,
  unsupported,
} from './gradient.js';
import { given, type Tf, type TfContext, type TfOp } from './kernel.js';
import type { Ops } from './record.js';

/** Flatten, Reshape, Squeeze, Unsqueeze: the same values in the input's shape. */
const reshape: GradRule = (node, dy, { b, shape }) => [b.op('Reshape', [dy, b.ints(shape(input(node, 0)))])];

const transpose: GradRule = (node, dy, { b, shape }) => {
  const rank = shape(input(node, 0)).length;
  const perm = intsAttr(node, 'perm', [...Array(rank).keys()].reverse());
  const inverse = perm.map((_, i) => perm.indexOf(i));
  return [b.op('Transpose', [dy], { perm: inverse })];
};

const expand: GradRule = (node, dy, { b, shape }) => [unbroadcast(b, dy, shape(output(node)), shape(input(node, 0)))];

const concat: GradRule = (node, dy, { b, shape, needs }) => {
  const axis = axisOf(intAttr(node, 'axis', 0), shape(output(node)).length);
  let at = 0;
  return node.input.map((x) => {
    const from = at;
    at += shape(x)[axis] ?? 0;
    return needs(x) ? b.op('Slice', [dy, b.ints([from]), b.ints([at]), b.ints([axis])]) : undefined;
  });
};

/** The gradients of all outputs, side by side; an output that nobody uses counts as zeros. */
const split: GradRule = (node, _dy, { b, shape }, all) => {
  const axis = axisOf(intAttr(node, 'axis', 0), shape(input(node, 0)).length);
  const parts = node.output.map((y, i) => all[i] ?? b.op('ConstantOfShape', [b.ints(shape(y))]));
  return [b.op('Concat', parts, { axis })];
};

interface Range {
  readonly start: number;
  readonly step: number;
}

/** Start and step of a Slice on every axis, negative and overlong bounds resolved as ONNX does. */
function sliceRanges(node: NodeProto, ctx: Pick<GradContext, 'shape' | 'ints'>): Range[] {
  const dims = ctx.shape(input(node, 0));
  const starts = constantInts(node, 1, ctx, 'starts', []);
  const axes = constantInts(node, 3, ctx, 'axes', [...starts.keys()]);
  const steps = constantInts(
    node,
    4,
    ctx,
    'steps',
    starts.map(() => 1),
  );
  const ranges: Range[] = dims.map(() => ({ start: 0, step: 1 }));
  axes.forEach((a, i) => {
    const axis = axisOf(a, dims.length);
    const size = dims[axis] ?? 0;
    const step = steps[i] ?? 1;
    const raw = starts[i] ?? 0;
    const start = Math.min(Math.max(raw < 0 ? raw + size : raw, 0), step < 0 ? size - 1 : size);
    ranges[axis] = { start, step };
  });
  return ranges;
}

const slice: GradRule = (node, dy, ctx) => {
  const { b, shape } = ctx;
  const [from, to] = [shape(input(node, 0)), shape(output(node))];
  const ranges = sliceRanges(node, ctx);
  if (ranges.every((r) => r.step === 1)) {
    const begin = ranges.map((r) => r.start);
    const end = from.map((size, i) => size - (begin[i] ?? 0) - (to[i] ?? 0));
    return [b.op('Pad', [dy, b.ints([...begin, ...end])])];
  }
  // Other steps: every value goes back to its place in the flat input.
  let places = [0];
  ranges.forEach(({ start, step }, axis) => {
    const stride = product(from.slice(axis + 1));
    const offsets = Array.from({ length: to[axis] ?? 1 }, (_, i) => (start + i * step) * stride);
    places = places.flatMap((p) => offsets.map((o) => p + o));
  });
  const zeros = b.op('ConstantOfShape', [b.ints([product(from)])]);
  const flat = b.op('ScatterElements', [zeros, b.ints(places), b.op('Reshape', [dy, b.ints([-1])])], { axis: 0 });
  return [b.op('Reshape', [flat, b.ints(from)])];
};

const pad: GradRule = (node, dy, ctx) => {
  const { b, shape } = ctx;
  const mode = stringAttr(node, 'mode', 'constant');
  if (mode !== 'constant') unsupported(node, `padding mode ${mode}; use constant`);
  const dims = shape(input(node, 0));
  const pads = constantInts(node, 1, ctx, 'pads', []);
  const axes = constantInts(node, 3, ctx, 'axes', [...dims.keys()]).map((a) => axisOf(a, dims.length));
  const begin = pads.slice(0, axes.length);
  if (pads.some((p) => p < 0)) unsupported(node, 'negative pads; use Slice');
  const ends = axes.map((axis, i) => (begin[i] ?? 0) + (dims[axis] ?? 0));
  return [b.op('Slice', [dy, b.ints(begin), b.ints(ends), b.ints(axes)])];
};

/** ReduceSum and ReduceMean: axes are an attribute up to opset 17 (ReduceMean) and an input after. */
const reduce =
  (mean: boolean): GradRule =>
  (node, dy, ctx) => {
    const { b, shape } = ctx;
    const dims = shape(input(node, 0));
    const given = constantInts(node, 1, ctx, 'axes', intsAttr(node, 'axes', []));
    const none = given.length === 0;
    if (none && intAttr(node, 'noop_with_empty_axes', 0)) return [dy];
    const axes = new Set(none ? dims.keys() : given.map((a) => axisOf(a, dims.length)));
    const kept = dims.map((d, i) => (axes.has(i) ? 1 : d));
    const count = product(dims.filter((_, i) => axes.has(i)));
    const shared = mean ? b.op('Mul', [dy, b.scalar(1 / count)]) : dy;
    return [b.op('Expand', [b.op('Reshape', [shared, b.ints(kept)]), b.ints(dims)])];
  };

/** Flatten, Reshape, Squeeze, Unsqueeze: the same values in the shape that the probing run saw. */
const reshapeKernel: TfOp = (node, inputs, { tf, shape }) => [tf.reshape(given(inputs)[0], [...shape(output(node))])];

const transposeKernel: TfOp = (node, inputs, { tf }) => {
  const [x] = given(inputs);
  return [tf.transpose(x, intsAttr(node, 'perm', [...x.shape.keys()].reverse()))];
};

const splitKernel: TfOp = (node, inputs, { tf, shape }) => {
  const [x] = given(inputs);
  const axis = axisOf(intAttr(node, 'axis', 0), x.rank);
  const sizes = node.output.map((y) => shape(y)[axis] ?? 0);
  return tf.split(x, sizes, axis);
};

const sliceKernel: TfOp = (node, inputs, ctx) => {
  const { tf, shape } = ctx;
  const [x] = given(inputs);
  const to = shape(output(node));
  const ranges = sliceRanges(node, ctx);
  if (ranges.every((r) => r.step === 1)) {
    return [
      tf.slice(
        x,
        ranges.map((r) => r.start),
        [...to],
      ),
    ];
  }
  const picked = ranges.reduce((t, { start, step }, axis) => {
    if (start === 0 && step === 1 && to[axis] === t.shape[axis]) return t;
    const places = Array.from({ length: to[axis] ?? 0 }, (_, i) => start + i * step);
    return tf.gather(t, tf.tensor1d(places, 'int32'), axis);
  }, x);
  return [picked];
};

const padKernel: TfOp = (node, inputs, ctx) => {
  const { tf, ints } = ctx;
  const [x] = given(inputs);
  if (stringAttr(node, 'mode', 'constant') !== 'constant') unsupported(node, 'its padding mode; use constant');
  const pads = ints(input(node, 1)) ?? unsupported(node, 'its pads must be constant');
  const axes = (ints(input(node, 3)) ?? [...x.shape.keys()]).map((a) => axisOf(a, x.rank));
  const around: [number, number][] = x.shape.map(() => [0, 0]);
  axes.forEach((axis, i) => {
    around[axis] = [pads[i] ?? 0, pads[i + axes.length] ?? 0];
  });
  const value = inputs[2] ? (inputs[2].dataSync()[0] ?? 0) : 0;
  return [tf.pad(x, around, value)];
};

const reduceKernel =
  (f: (tf: Tf, x: Tensor, axes: number[], keep: boolean) => Tensor): TfOp =>
  (node: NodeProto, inputs, { tf, ints }: TfContext) => {
    const [x] = given(inputs);
    const axes = ints(input(node, 1)) ?? intsAttr(node, 'axes', []);
    if (axes.length === 0 && intAttr(node, 'noop_with_empty_axes', 0)) return [tf.clone(x)];
    const all = axes.length === 0 ? [...x.shape.keys()] : axes.map((a) => axisOf(a, x.rank));
    return [f(tf, x, all, intAttr(node, 'keepdims', 1) === 1)];
  };

const expandKernel: TfOp = (node, inputs, { tf, shape }) => [
  tf.broadcastTo(given(inputs)[0], [...shape(output(node))]),
];

const concatKernel: TfOp = (node, inputs, { tf }) => {
  const parts = inputs as Tensor[];
  return [tf.concat(parts, axisOf(intAttr(node, 'axis', 0), parts[0]?.rank ?? 1))];
};

const sameValues = { units: 'reshape', gradient: reshape, kernel: reshapeKernel } as const;

/** The same values in another shape or order, parts of them, and sums over axes. Where channels change places, units do not pass. */
export const shape = {
  Flatten: sameValues,
  Reshape: sameValues,
  Squeeze: sameValues,
  Unsqueeze: sameValues,
  Transpose: { units: 'stops', gradient: transpose, kernel: transposeKernel },
  Expand: { units: 'stops', gradient: expand, kernel: expandKernel },
  Concat: { units: 'stops', gradient: concat, kernel: concatKernel },
  Split: { units: 'stops', gradient: split, kernel: splitKernel },
  Slice: { units: 'stops', gradient: slice, kernel: sliceKernel },
  Pad: { units: 'stops', gradient: pad, kernel: padKernel, forms: 'constant' },
  ReduceSum: {
    units: 'reduction',
    gradient: reduce(false),
    kernel: reduceKernel((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  },
  ReduceMean: {
    units: 'reduction',
    gradient: reduce(true),
    kernel: reduceKernel((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  },
} satisfies Ops;
