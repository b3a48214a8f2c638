import { describeNode, intAttr, intsAttr, ModelError, type NodeProto, stringAttr } from '../onnx/model.js';
import type { GradRule } from './rules.js';

/** Stride, dilation, kernel and explicit padding of a Conv or pooling window, for any spatial rank. */
export interface Window {
  readonly kernel: number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly begin: number[];
  readonly end: number[];
}

/** Resolves the defaults and `auto_pad` against the concrete shapes of input and output. */
export function windowOf(
  node: NodeProto,
  input: readonly number[],
  output: readonly number[],
  kernel: readonly number[],
): Window {
  const rank = kernel.length;
  const strides = intsAttr(node, 'strides', Array(rank).fill(1));
  const dilations = intsAttr(node, 'dilations', Array(rank).fill(1));
  const autoPad = stringAttr(node, 'auto_pad', 'NOTSET');
  if (autoPad === 'NOTSET' || autoPad === 'VALID') {
    const pads = autoPad === 'VALID' ? Array(2 * rank).fill(0) : intsAttr(node, 'pads', Array(2 * rank).fill(0));
    return { kernel: [...kernel], strides, dilations, begin: pads.slice(0, rank), end: pads.slice(rank) };
  }
  const total = kernel.map((k, i) => {
    const reach = ((output[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + (k - 1) * (dilations[i] ?? 1) + 1;
    return Math.max(0, reach - (input[i + 2] ?? 1));
  });
  const half = total.map((t) => Math.floor(t / 2));
  const rest = total.map((t, i) => t - (half[i] ?? 0));
  const [begin, end] = autoPad === 'SAME_LOWER' ? [rest, half] : [half, rest];
  return { kernel: [...kernel], strides, dilations, begin, end };
}

/** Rows that a ConvTranspose must add at the end to give back `input`'s size. */
export function outputPadding(w: Window, input: readonly number[], output: readonly number[]): number[] {
  return w.kernel.map((k, i) => {
    const back =
      ((output[i + 2] ?? 1) - 1) * (w.strides[i] ?? 1) +
      (k - 1) * (w.dilations[i] ?? 1) +
      1 -
      (w.begin[i] ?? 0) -
      (w.end[i] ?? 0);
    return (input[i + 2] ?? 1) - back;
  });
}

/**
 * dX is the transposed convolution of dY with W. dW is a convolution of X with dY where batch and
 * channels swap places and stride and dilation swap roles; what it computes past the kernel's size
 * (rows that the stride skipped) is cut off.
 */
const conv: GradRule = (node, dy, { b, shape, needs }) => {
  const [x = '', w = '', bias] = node.input;
  const group = intAttr(node, 'group', 1);
  if (group !== 1)
    throw new ModelError(`${describeNode(node)}: gradients of grouped convolutions are not supported yet`);
  const [sx, sw, sy] = [shape(x), shape(w), shape(node.output[0] as string)];
  const win = windowOf(node, sx, sy, sw.slice(2));
  const pads = [...win.begin, ...win.end];
  const spatial = win.kernel.map((_, i) => i + 2);
  const dX = needs(x)
    ? b.op('ConvTranspose', [dy, w], {
        strides: win.strides,
        dilations: win.dilations,
        pads,
        output_padding: outputPadding(win, sx, sy),
      })
    : undefined;
  let dW: string | undefined;
  if (needs(w)) {
    const swap = { perm: [1, 0, ...spatial] };
    const full = b.op('Conv', [b.op('Transpose', [x], swap), b.op('Transpose', [dy], swap)], {
      strides: win.dilations,
      dilations: win.strides,
      pads,
      kernel_shape: sy.slice(2),
    });
    const cut = b.op('Slice', [full, b.ints(spatial.map(() => 0)), b.ints(win.kernel), b.ints(spatial)]);
    dW = b.op('Transpose', [cut], swap);
  }
  const dB = bias && needs(bias) ? b.op('ReduceSum', [dy, b.ints([0, ...spatial])], { keepdims: 0 }) : undefined;
  return [dX, dW, dB];
};

export const convRules: Readonly<Record<string, GradRule>> = { Conv: conv };
