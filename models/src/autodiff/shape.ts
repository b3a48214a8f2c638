import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';
import {
  axisOf,
  constantInts,
  type GradContext,
  type GradRule,
  input,
  output,
  product,
  type Rules,
  unbroadcast,
  unsupported,
} from './rules.js';

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
export function sliceRanges(node: NodeProto, ctx: Pick<GradContext, 'shape' | 'ints'>): Range[] {
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

export const shapeRules: Rules = {
  Flatten: reshape,
  Reshape: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Transpose: transpose,
  Expand: expand,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  ReduceSum: reduce(false),
  ReduceMean: reduce(true),
};
