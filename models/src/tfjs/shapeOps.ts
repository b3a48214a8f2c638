import type { Tensor } from '@tensorflow/tfjs-core';
import { axisOf, input, output, unsupported } from '../autodiff/rules.js';
import { sliceRanges } from '../autodiff/shape.js';
import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';
import { given, type Tf, type TfContext, type TfOp, type TfOps } from './types.js';

/** Flatten, Reshape, Squeeze, Unsqueeze: the same values in the shape that the probing run saw. */
const reshape: TfOp = (node, inputs, { tf, shape }) => [tf.reshape(given(inputs)[0], [...shape(output(node))])];

const transpose: TfOp = (node, inputs, { tf }) => {
  const [x] = given(inputs);
  return [tf.transpose(x, intsAttr(node, 'perm', [...x.shape.keys()].reverse()))];
};

const split: TfOp = (node, inputs, { tf, shape }) => {
  const [x] = given(inputs);
  const axis = axisOf(intAttr(node, 'axis', 0), x.rank);
  const sizes = node.output.map((y) => shape(y)[axis] ?? 0);
  return tf.split(x, sizes, axis);
};

const slice: TfOp = (node, inputs, ctx) => {
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

const pad: TfOp = (node, inputs, ctx) => {
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

const reduce =
  (f: (tf: Tf, x: Tensor, axes: number[], keep: boolean) => Tensor): TfOp =>
  (node: NodeProto, inputs, { tf, ints }: TfContext) => {
    const [x] = given(inputs);
    const axes = ints(input(node, 1)) ?? intsAttr(node, 'axes', []);
    if (axes.length === 0 && intAttr(node, 'noop_with_empty_axes', 0)) return [tf.clone(x)];
    const all = axes.length === 0 ? [...x.shape.keys()] : axes.map((a) => axisOf(a, x.rank));
    return [f(tf, x, all, intAttr(node, 'keepdims', 1) === 1)];
  };

export const shapeOps: TfOps = {
  Flatten: reshape,
  Reshape: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Transpose: transpose,
  Expand: (node, inputs, { tf, shape }) => [tf.broadcastTo(given(inputs)[0], [...shape(output(node))])],
  Concat: (node, inputs, { tf }) => {
    const parts = inputs as Tensor[];
    return [tf.concat(parts, axisOf(intAttr(node, 'axis', 0), parts[0]?.rank ?? 1))];
  },
  Split: split,
  Slice: slice,
  Pad: pad,
  ReduceSum: reduce((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMean: reduce((tf, x, axes, keep) => tf.mean(x, axes, keep)),
};
