import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';
import { type GradContext, type GradRule, input, output, type Rules, unsupported } from './rules.js';

type Shape = readonly number[];

/** Stride, dilation, kernel and explicit padding of a Conv or pooling window, for any spatial rank. */
export interface Window {
  readonly kernel: number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly begin: number[];
  readonly end: number[];
}

/** Resolves the defaults and `auto_pad` against the concrete shapes it goes from and to. */
export function windowOf(node: NodeProto, from: Shape, to: Shape, kernel: Shape): Window {
  const rank = kernel.length;
  const strides = intsAttr(node, 'strides', Array(rank).fill(1));
  const dilations = intsAttr(node, 'dilations', Array(rank).fill(1));
  const autoPad = stringAttr(node, 'auto_pad', 'NOTSET');
  if (autoPad === 'NOTSET' || autoPad === 'VALID') {
    const pads = autoPad === 'VALID' ? Array(2 * rank).fill(0) : intsAttr(node, 'pads', Array(2 * rank).fill(0));
    return { kernel: [...kernel], strides, dilations, begin: pads.slice(0, rank), end: pads.slice(rank) };
  }
  const total = kernel.map((k, i) => {
    const reach = ((to[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + (k - 1) * (dilations[i] ?? 1) + 1;
    return Math.max(0, reach - (from[i + 2] ?? 1));
  });
  const half = total.map((t) => Math.floor(t / 2));
  const rest = total.map((t, i) => t - (half[i] ?? 0));
  const [begin, end] = autoPad === 'SAME_LOWER' ? [rest, half] : [half, rest];
  return { kernel: [...kernel], strides, dilations, begin, end };
}

/** Rows that a ConvTranspose must add at the end to give back `from`'s size. */
export function outputPadding(w: Window, from: Shape, to: Shape): number[] {
  return w.kernel.map((k, i) => {
    const back =
      ((to[i + 2] ?? 1) - 1) * (w.strides[i] ?? 1) +
      (k - 1) * (w.dilations[i] ?? 1) +
      1 -
      (w.begin[i] ?? 0) -
      (w.end[i] ?? 0);
    return (from[i + 2] ?? 1) - back;
  });
}

/**
 * dL/dW of a convolution from x [N, Cin, ...] to y [N, Cout, ...]: a convolution of x with dy where batch and
 * channels swap places and stride and dilation swap roles; what it computes past the kernel's size (rows
 * that the stride skipped) is cut off. Shape [Cout, Cin / group, ...kernel].
 */
function weightGradient(
  ctx: GradContext,
  x: string,
  dy: string,
  sx: Shape,
  sy: Shape,
  win: Window,
  group: number,
): string {
  const { b } = ctx;
  const spatial = win.kernel.map((_, i) => i + 2);
  const swap = { perm: [1, 0, ...spatial] };
  const [batch = 1, channels = 1] = sx;
  const data =
    group === 1
      ? b.op('Transpose', [x], swap)
      : // [N, G c, ...] -> [c, G N, ...]: the groups stay apart, the batch becomes the channels of each.
        b.op('Reshape', [
          b.op('Transpose', [b.op('Reshape', [x, b.ints([batch, group, channels / group, ...sx.slice(2)])])], {
            perm: [2, 1, 0, ...spatial.map((i) => i + 1)],
          }),
          b.ints([channels / group, group * batch, ...sx.slice(2)]),
        ]);
  const full = b.op('Conv', [data, b.op('Transpose', [dy], swap)], {
    strides: win.dilations,
    dilations: win.strides,
    pads: [...win.begin, ...win.end],
    kernel_shape: sy.slice(2),
    group,
  });
  const cut = b.op('Slice', [full, b.ints(spatial.map(() => 0)), b.ints(win.kernel), b.ints(spatial)]);
  return b.op('Transpose', [cut], swap);
}

const biasGradient = ({ b, needs }: GradContext, bias: string, dy: string, rank: number): string | undefined => {
  if (!bias || !needs(bias)) return undefined;
  const axes = [...Array(rank).keys()].filter((i) => i !== 1);
  return b.op('ReduceSum', [dy, b.ints(axes)], { keepdims: 0 });
};

/** dX is the transposed convolution of dY with W. */
const conv: GradRule = (node, dy, ctx) => {
  const { b, shape, needs } = ctx;
  const [x, w] = [input(node, 0), input(node, 1)];
  const group = intAttr(node, 'group', 1);
  const [sx, sy] = [shape(x), shape(output(node))];
  const win = windowOf(node, sx, sy, shape(w).slice(2));
  const dX = needs(x)
    ? b.op('ConvTranspose', [dy, w], {
        strides: win.strides,
        dilations: win.dilations,
        pads: [...win.begin, ...win.end],
        output_padding: outputPadding(win, sx, sy),
        group,
      })
    : undefined;
  const dW = needs(w) ? weightGradient(ctx, x, dy, sx, sy, win, group) : undefined;
  return [dX, dW, biasGradient(ctx, input(node, 2), dy, sx.length)];
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
  const dW = needs(w) ? weightGradient(ctx, dy, x, sy, sx, win, group) : undefined;
  return [dX, dW, biasGradient(ctx, input(node, 2), dy, sx.length)];
};

export const convRules: Rules = { Conv: conv, ConvTranspose: convTranspose };
