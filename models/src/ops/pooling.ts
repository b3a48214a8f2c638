import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { DataType, intAttr, intsAttr, type NodeProto } from '../onnx/model.js';
import { type GradContext, type GradRule, input, output, product, unsupported } from './gradient.js';
import { asImage, channelsFirst, channelsLast, imageWindow, padSpatial } from './images.js';
import { given, type TfContext, type TfOp } from './kernel.js';
import type { Ops } from './record.js';
import { outputPadding, type Window, windowCounts, windowOf } from './window.js';

function poolWindow(node: NodeProto, { shape }: GradContext) {
  if (intAttr(node, 'ceil_mode', 0) !== 0) unsupported(node, 'ceil_mode; pad the input instead');
  const [sx, sy] = [shape(input(node, 0)), shape(output(node))];
  return { sx, sy, win: windowOf(node, sx, sy, intsAttr(node, 'kernel_shape', [])) };
}

/**
 * The forward node also yields where each maximum lay (a flat index into the whole input), and dY is
 * added there: exact for overlapping windows, padding and ties.
 */
const maxPool: GradRule = (node, dy, ctx) => {
  const { b } = ctx;
  const { sx, sy, win } = poolWindow(node, ctx);
  if (tiles(sx, sy, win)) return [tiledMaxPool(node, dy, ctx, win)];
  const forward = ctx.forward(node);
  if (!forward.output[1]) forward.output[1] = b.fresh('argmax');
  const overlap = win.kernel.some((k, i) => (k - 1) * (win.dilations[i] ?? 1) + 1 > (win.strides[i] ?? 1));
  const flat = b.ints([-1]);
  const zeros = b.op('ConstantOfShape', [b.ints([product(sx)])]);
  const indices = b.op('Reshape', [forward.output[1], flat]);
  const updates = b.op('Reshape', [dy, flat]);
  const summed = b.op('ScatterElements', [zeros, indices, updates], { axis: 0, reduction: overlap ? 'add' : 'none' });
  return [b.op('Reshape', [summed, b.ints(sx)])];
};

/** Whether the windows cover the input exactly once. */
function tiles(sx: readonly number[], sy: readonly number[], win: Window): boolean {
  return win.kernel.every(
    (k, i) =>
      k === win.strides[i] && win.dilations[i] === 1 && win.begin[i] === 0 && (sy[i + 2] ?? 0) * k === sx[i + 2],
  );
}

/**
 * Windows that do not overlap: the maximum is where the input equals the output spread back over its window, and
 * equal maxima share its gradient. Three times as fast as the way over indices.
 */
function tiledMaxPool(node: NodeProto, dy: string, { b }: GradContext, win: Window): string {
  const scales = Float32Array.of(1, 1, ...win.kernel);
  const spread = (t: string): string =>
    b.op('Resize', [t, '', b.floats(scales, [scales.length])], {
      mode: 'nearest',
      nearest_mode: 'floor',
      coordinate_transformation_mode: 'asymmetric',
    });
  const isMax = b.op('Cast', [b.op('Equal', [input(node, 0), spread(output(node))])], { to: DataType.FLOAT });
  const share = b.op('AveragePool', [isMax], { kernel_shape: win.kernel, strides: win.kernel });
  const shared = b.op('Div', [dy, b.op('Mul', [share, b.scalar(product(win.kernel))])]);
  return b.op('Mul', [isMax, spread(shared)]);
}

/** Each output's gradient, divided by its window's count, spread by a transposed convolution with ones. */
const averagePool: GradRule = (node, dy, ctx) => {
  const { b } = ctx;
  const { sx, sy, win } = poolWindow(node, ctx);
  const channels = sx[1] ?? 1;
  const counts = b.floats(windowCounts(node, sx, sy, win), [1, 1, ...sy.slice(2)]);
  const ones = b.floats(new Float32Array(channels * product(win.kernel)).fill(1), [channels, 1, ...win.kernel]);
  return [
    b.op('ConvTranspose', [b.op('Div', [dy, counts]), ones], {
      group: channels,
      strides: win.strides,
      dilations: win.dilations,
      pads: [...win.begin, ...win.end],
      output_padding: outputPadding(win, sx, sy),
    }),
  ];
};

const globalAveragePool: GradRule = (node, dy, { b, shape }) => {
  const sx = shape(input(node, 0));
  return [b.op('Expand', [b.op('Mul', [dy, b.scalar(1 / product(sx.slice(2)))]), b.ints(sx)])];
};

/** Max or average over windows; `value` stands in the padding. */
function pooled(node: NodeProto, x: Tensor, ctx: TfContext, pool: 'maxPool' | 'avgPool', value: number) {
  const { tf, shape } = ctx;
  if (intAttr(node, 'ceil_mode', 0) !== 0) unsupported(node, 'ceil_mode; pad the input instead');
  const sy = [...shape(output(node))];
  const own = windowOf(node, x.shape, sy, intsAttr(node, 'kernel_shape', []));
  if (own.kernel.length > 2) unsupported(node, 'the TensorFlow.js engine has it for signals and images only');
  const win = own.kernel.length === 1 ? imageWindow(own) : own;
  if (win.dilations.some((d) => d > 1)) unsupported(node, 'dilated windows in the TensorFlow.js engine');
  const padded = channelsLast(tf, padSpatial(tf, asImage(tf, x), win, value)) as Tensor4D;
  const [kernel, strides] = [win.kernel, win.strides] as [[number, number], [number, number]];
  const y = tf[pool](padded, kernel, strides, 'valid');
  return { y: tf.reshape(channelsFirst(tf, y), sy), sy, own };
}

/** Stands in the padding of a maximum: finite, and lower than any activation, so that it is never the largest. */
const LOWEST = -3.4e38;

const averagePoolKernel: TfOp = (node, inputs, ctx) => {
  const [x] = given(inputs);
  const { y, sy, own } = pooled(node, x, ctx, 'avgPool', 0);
  const counts = windowCounts(node, x.shape, sy, own).map((c) => product(own.kernel) / c);
  return [ctx.tf.mul(y, ctx.tf.tensor(counts, [1, 1, ...sy.slice(2)]))];
};

const maxPoolKernel: TfOp = (node, inputs, ctx) => [pooled(node, given(inputs)[0], ctx, 'maxPool', LOWEST).y];

const globalAveragePoolKernel: TfOp = (_node, inputs, { tf }) => {
  const [x] = given(inputs);
  return [tf.mean(x, [...x.shape.keys()].slice(2), true)];
};

/** Maxima and means over windows of each channel. */
export const pooling = {
  MaxPool: { units: 'channelwise', gradient: maxPool, kernel: maxPoolKernel },
  AveragePool: { units: 'channelwise', gradient: averagePool, kernel: averagePoolKernel },
  GlobalAveragePool: { units: 'channelwise', gradient: globalAveragePool, kernel: globalAveragePoolKernel },
} satisfies Ops;
