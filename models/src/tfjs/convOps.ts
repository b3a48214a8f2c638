import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import { output, product, unsupported } from '../autodiff/rules.js';
import { type Window, windowCounts, windowOf } from '../autodiff/window.js';
import { intAttr, intsAttr, type NodeProto } from '../onnx/model.js';
import { given, type Tf, type TfContext, type TfOp, type TfOps } from './types.js';

/** [N, C, spatial...] -> [N, spatial..., C], which is all that TensorFlow's CPU kernels take. */
const channelsLast = (tf: Tf, x: Tensor): Tensor =>
  tf.transpose(x, [0, ...[...Array(x.rank - 2).keys()].map((i) => i + 2), 1]);
const channelsFirst = (tf: Tf, x: Tensor): Tensor =>
  tf.transpose(x, [0, x.rank - 1, ...[...Array(x.rank - 2).keys()].map((i) => i + 1)]);

/** Signals are images of height 1: an axis of size 1 before the first spatial one. */
const asImage = (tf: Tf, x: Tensor): Tensor => (x.rank === 3 ? tf.expandDims(x, 2) : x);

const pair = (values: readonly number[], fill: number): number[] =>
  values.length === 1 ? [fill, ...values] : [...values];

/** The same window for an image of height 1. */
function imageWindow(win: Window): Window {
  return {
    kernel: pair(win.kernel, 1),
    strides: pair(win.strides, win.strides[0] ?? 1),
    dilations: pair(win.dilations, 1),
    begin: pair(win.begin, 0),
    end: pair(win.end, 0),
  };
}

/** Pads the spatial axes of [N, C, spatial...]. */
function padSpatial(tf: Tf, x: Tensor, win: Window, value = 0): Tensor {
  if ([...win.begin, ...win.end].every((p) => p === 0)) return x;
  const around = win.begin.map((p, i): [number, number] => [p, win.end[i] ?? 0]);
  return tf.pad(x, [[0, 0], [0, 0], ...around], value);
}

/**
 * Writes zeros between the taps of a kernel [..., spatial...]: TensorFlow.js has no gradient of a dilated
 * convolution, but one of this.
 */
function spreadKernel(tf: Tf, w: Tensor, dilations: readonly number[]): Tensor {
  return dilations.reduce((t, d, i) => {
    if (d === 1) return t;
    const axis = i + 2;
    const [before, size, after] = [t.shape.slice(0, axis), t.shape[axis] ?? 1, t.shape.slice(axis + 1)];
    const wide = tf.reshape(t, [product(before) * size, 1, product(after)]);
    const spread = tf.pad(wide, [
      [0, 0],
      [0, d - 1],
      [0, 0],
    ]);
    const whole = tf.reshape(spread, [product(before), size * d, product(after)]);
    const kept = tf.slice(whole, [0, 0, 0], [product(before), (size - 1) * d + 1, product(after)]);
    return tf.reshape(kept, [...before, (size - 1) * d + 1, ...after]);
  }, w);
}

/** Every stride-th row and column of [N, H, W, C]. */
function subsample(tf: Tf, x: Tensor, strides: readonly number[]): Tensor {
  return strides.reduce((t, stride, i) => {
    if (stride === 1) return t;
    const size = Math.ceil((t.shape[i + 1] ?? 1) / stride);
    return tf.gather(
      t,
      tf.tensor1d(
        Array.from({ length: size }, (_, k) => k * stride),
        'int32',
      ),
      i + 1,
    );
  }, x);
}

const withBias = (tf: Tf, y: Tensor, bias: Tensor | undefined): Tensor =>
  bias ? tf.add(y, tf.reshape(bias, [bias.size, ...Array(y.rank - 2).fill(1)])) : y;

const splitAxis = (tf: Tf, x: Tensor, parts: number, axis: number): Tensor[] =>
  parts === 1 ? [x] : tf.split(x, parts, axis);

/** A convolution without padding, dilation or groups of [N, C, spatial...] with [O, C, spatial...]. */
function plainConv(tf: Tf, x: Tensor, w: Tensor, strides: number[]): Tensor {
  const axes = [...Array(w.rank - 2).keys()].map((i) => i + 2);
  const filter = tf.transpose(w, [...axes, 1, 0]);
  const last = channelsLast(tf, x);
  const y =
    strides.length === 3
      ? tf.conv3d(last as Tensor5D, filter as Tensor5D, strides as [number, number, number], 'valid')
      : tf.conv2d(last as Tensor4D, filter as Tensor4D, strides as [number, number], 'valid');
  return channelsFirst(tf, y);
}

/** One kernel a channel: w [C * multiplier, 1, h, w]. */
function depthwiseConv(tf: Tf, x: Tensor, w: Tensor, strides: number[]): Tensor {
  const channels = x.shape[1] ?? 1;
  const [, , height = 1, width = 1] = w.shape;
  const grouped = tf.reshape(w, [channels, (w.shape[0] ?? 1) / channels, height, width]);
  const filter = tf.transpose(grouped, [2, 3, 0, 1]) as Tensor4D;
  // TensorFlow's kernel wants the same stride on both axes.
  const equal = strides[0] === strides[1];
  const y = tf.depthwiseConv2d(channelsLast(tf, x) as Tensor4D, filter, equal ? (strides[0] ?? 1) : 1, 'valid');
  return channelsFirst(tf, equal ? y : subsample(tf, y, strides));
}

const conv: TfOp = (node, inputs, { tf, shape }) => {
  const [x, w, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
  const group = intAttr(node, 'group', 1);
  const sy = [...shape(output(node))];
  const own = windowOf(node, x.shape, sy, w.shape.slice(2));
  const win = own.kernel.length === 1 ? imageWindow(own) : own;
  const padded = padSpatial(tf, asImage(tf, x), win);
  const kernel = spreadKernel(tf, asImage(tf, w), win.dilations);
  const depthwise = group > 1 && group === x.shape[1] && win.kernel.length === 2;
  const y = depthwise
    ? depthwiseConv(tf, padded, kernel, win.strides)
    : tf.concat(
        splitAxis(tf, padded, group, 1).map((part, i) =>
          plainConv(tf, part, splitAxis(tf, kernel, group, 0)[i] as Tensor, win.strides),
        ),
        1,
      );
  return [withBias(tf, tf.reshape(y, sy), bias)];
};

/** The whole transposed convolution of an image, then its edges cut off, or filled with zeros (output_padding). */
function plainConvTranspose(tf: Tf, x: Tensor, w: Tensor, win: Window, size: readonly number[]): Tensor {
  const kernel = spreadKernel(tf, w, win.dilations);
  const reach = kernel.shape.slice(2);
  const full = reach.map((k, i) => ((x.shape[i + 2] ?? 1) - 1) * (win.strides[i] ?? 1) + k);
  const [batch = 1, outputs = 1] = [x.shape[0], w.shape[1]];
  const filter = tf.transpose(kernel, [2, 3, 1, 0]) as Tensor4D;
  const shape = [batch, full[0] ?? 1, full[1] ?? 1, outputs] as [number, number, number, number];
  const strides = win.strides as [number, number];
  const y = channelsFirst(tf, tf.conv2dTranspose(channelsLast(tf, x) as Tensor4D, filter, shape, strides, 'valid'));
  const kept = size.map((s, i) => Math.min(s, (full[i] ?? 1) - (win.begin[i] ?? 0)));
  const cut = tf.slice(y, [0, 0, ...win.begin], [batch, outputs, ...kept]);
  const missing = size.map((s, i): [number, number] => [0, s - (kept[i] ?? 0)]);
  return tf.pad(cut, [[0, 0], [0, 0], ...missing]);
}

const convTranspose: TfOp = (node, inputs, { tf, shape }) => {
  const [x, w, bias] = inputs as [Tensor, Tensor, Tensor | undefined];
  if (w.rank > 4) unsupported(node, 'the TensorFlow.js engine has it for signals and images only');
  const group = intAttr(node, 'group', 1);
  const sy = [...shape(output(node))];
  const own = windowOf(node, sy, x.shape, w.shape.slice(2));
  const win = own.kernel.length === 1 ? imageWindow(own) : own;
  const size = pair(sy.slice(2), 1);
  const kernels = splitAxis(tf, asImage(tf, w), group, 0);
  const parts = splitAxis(tf, asImage(tf, x), group, 1).map((part, i) =>
    plainConvTranspose(tf, part, kernels[i] as Tensor, win, size),
  );
  return [withBias(tf, tf.reshape(tf.concat(parts, 1), sy), bias)];
};

/** Max or average over windows; `value` stands in the padding. */
function pooled(node: NodeProto, x: Tensor, ctx: TfContext, kind: 'max' | 'avg', value: number) {
  const { tf, shape } = ctx;
  if (intAttr(node, 'ceil_mode', 0) !== 0) unsupported(node, 'ceil_mode; pad the input instead');
  const sy = [...shape(output(node))];
  const own = windowOf(node, x.shape, sy, intsAttr(node, 'kernel_shape', []));
  if (own.kernel.length > 2) unsupported(node, 'the TensorFlow.js engine has it for signals and images only');
  const win = own.kernel.length === 1 ? imageWindow(own) : own;
  if (win.dilations.some((d) => d > 1)) unsupported(node, 'dilated windows in the TensorFlow.js engine');
  const padded = channelsLast(tf, padSpatial(tf, asImage(tf, x), win, value)) as Tensor4D;
  const [kernel, strides] = [win.kernel, win.strides] as [[number, number], [number, number]];
  const y =
    kind === 'max' ? tf.maxPool(padded, kernel, strides, 'valid') : tf.avgPool(padded, kernel, strides, 'valid');
  return { y: tf.reshape(channelsFirst(tf, y), sy), sy, own };
}

/** Lower than any activation, and finite: the padding must win nowhere. */
const LOWEST = -3.4e38;

const averagePool: TfOp = (node, inputs, ctx) => {
  const [x] = given(inputs);
  const { y, sy, own } = pooled(node, x, ctx, 'avg', 0);
  const counts = windowCounts(node, x.shape, sy, own).map((c) => product(own.kernel) / c);
  return [ctx.tf.mul(y, ctx.tf.tensor(counts, [1, 1, ...sy.slice(2)]))];
};

export const convOps: TfOps = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: (node, inputs, ctx) => [pooled(node, given(inputs)[0], ctx, 'max', LOWEST).y],
  AveragePool: averagePool,
  GlobalAveragePool: (_node, inputs, { tf }) => {
    const [x] = given(inputs);
    return [tf.mean(x, [...x.shape.keys()].slice(2), true)];
  },
};
