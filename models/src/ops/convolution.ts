import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../onnx/builder.js';
import { intAttr, intsAttr, stringAttr } from '../onnx/model.js';
import { weightGradient } from './convWeights.js';
import { type GradContext, type GradRule, input, output, unsupported } from './gradient.js';
import {
  asImage,
  channelsFirst,
  channelsLast,
  imageWindow,
  padSpatial,
  pair,
  splitAxis,
  spreadKernel,
  subsample,
  withBias,
} from './images.js';
import type { Tf, TfOp } from './kernel.js';
import { hasPhases, transposedInPhases } from './phases.js';
import type { Ops, TrainingForm } from './record.js';
import { outputPadding, type Window, windowOf } from './window.js';

const biasGradient = ({ b, needs }: GradContext, bias: string, dy: string, rank: number): string | undefined => {
  if (!bias || !needs(bias)) return undefined;
  const axes = [...Array(rank).keys()].filter((i) => i !== 1);
  return b.op('ReduceSum', [dy, b.ints(axes)], { keepdims: 0 });
};

/**
 * dX is the transposed convolution of dY with W. With stride 1 that is a plain convolution with the kernel
 * mirrored and its axes swapped, which ONNX Runtime runs faster for signals, depthwise kernels and kernels of 1.
 */
const conv: GradRule = (node, dy, ctx) => {
  const { b, shape, needs } = ctx;
  const [x, w] = [input(node, 0), input(node, 1)];
  const group = intAttr(node, 'group', 1);
  const [sx, sy] = [shape(x), shape(output(node))];
  const win = windowOf(node, sx, sy, shape(w).slice(2));
  let dX: string | undefined;
  if (needs(x)) {
    const simple = group === 1 && (win.kernel.length === 1 || win.kernel.every((k) => k === 1));
    const depthwise = group > 1 && group === sx[1] && group === sy[1];
    const reach = win.kernel.map((k, i) => (k - 1) * (win.dilations[i] ?? 1));
    const fits = reach.every((r, i) => r >= (win.begin[i] ?? 0) && r >= (win.end[i] ?? 0));
    const direct = win.strides.every((s) => s === 1) && fits && (depthwise || simple);
    if (hasPhases(win, group)) dX = transposedInPhases(b, dy, w, sx, sy, win);
    else if (direct) {
      dX = b.op('Conv', [dy, mirrored(b, w, win, depthwise)], {
        pads: [...reach.map((r, i) => r - (win.begin[i] ?? 0)), ...reach.map((r, i) => r - (win.end[i] ?? 0))],
        dilations: win.dilations,
        group,
      });
    } else {
      dX = b.op('ConvTranspose', [dy, w], {
        strides: win.strides,
        dilations: win.dilations,
        pads: [...win.begin, ...win.end],
        output_padding: outputPadding(win, sx, sy),
        group,
      });
    }
  }
  const dW = needs(w) ? weightGradient(b, x, dy, sx, sy, win, group) : undefined;
  return [dX, dW, biasGradient(ctx, input(node, 2), dy, sx.length)];
};

/** W turned by 180 degrees, input and output channels swapped; a depthwise kernel has one channel to swap. */
function mirrored(b: GraphBuilder, w: string, win: Window, depthwise: boolean): string {
  const axes = win.kernel.map((_, i) => i + 2);
  const turned = win.kernel.every((k) => k === 1)
    ? w
    : b.op('Slice', [
        w,
        b.ints(win.kernel.map((k) => k - 1)),
        b.ints(win.kernel.map((k) => -k - 1)),
        b.ints(axes),
        b.ints(win.kernel.map(() => -1)),
      ]);
  return depthwise ? turned : b.op('Transpose', [turned], { perm: [1, 0, ...axes] });
}

/** A faster form of ConvTranspose where there is one. */
const inPhases: TrainingForm = (node, { b, shape }) => {
  const [x, w, bias] = [input(node, 0), input(node, 1), input(node, 2)];
  const [sx, sy] = [shape(x), shape(output(node))];
  if (intsAttr(node, 'output_shape', []).length > 0 || stringAttr(node, 'auto_pad', 'NOTSET') !== 'NOTSET')
    return false;
  const win = windowOf(node, sy, sx, shape(w).slice(2));
  if (!hasPhases(win, intAttr(node, 'group', 1))) return false;
  const y = transposedInPhases(b, x, w, sy, sx, win);
  if (bias) b.named(output(node), 'Add', [y, b.op('Unsqueeze', [bias, b.ints([1])])]);
  else b.named(output(node), 'Identity', [y]);
  return true;
};

/** The transposed convolution is the gradient of a convolution from its output to its input, so its own is that convolution. */
const convTranspose: GradRule = (node, dy, ctx) => {
  const { b, shape, needs } = ctx;
  const [x, w] = [input(node, 0), input(node, 1)];
  const group = intAttr(node, 'group', 1);
  if (intsAttr(node, 'output_shape', []).length > 0) unsupported(node, 'output_shape; give pads instead');
  if (stringAttr(node, 'auto_pad', 'NOTSET') !== 'NOTSET') unsupported(node, 'auto_pad; give pads instead');
  const [sx, sy] = [shape(x), shape(output(node))];
  const win = windowOf(node, sy, sx, shape(w).slice(2));
  const dX = needs(x)
    ? b.op('Conv', [dy, w], {
        strides: win.strides,
        dilations: win.dilations,
        pads: [...win.begin, ...win.end],
        group,
      })
    : undefined;
  const dW = needs(w) ? weightGradient(b, dy, x, sy, sx, win, group) : undefined;
  return [dX, dW, biasGradient(ctx, input(node, 2), dy, sx.length)];
};

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

const convKernel: TfOp = (node, inputs, { tf, shape }) => {
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

const convTransposeKernel: TfOp = (node, inputs, { tf, shape }) => {
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

/** Convolutions of signals, images and volumes: x [N, C, spatial...]. */
export const convolution = {
  Conv: {
    units: 'convolution',
    weighs: true,
    gradient: conv,
    kernel: convKernel,
    forms: '1-D to 3-D; stride, dilation, padding, auto_pad, groups, depthwise',
  },
  ConvTranspose: {
    units: 'transposed-convolution',
    weighs: true,
    gradient: convTranspose,
    training: inPhases,
    kernel: convTransposeKernel,
  },
} satisfies Ops;
