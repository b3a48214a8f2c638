import type { GraphBuilder } from '../onnx/builder.js';
import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';
import { weightGradient } from './convWeights.js';
import { hasPhases, transposedInPhases } from './phases.js';
import { type GradContext, type GradRule, input, output, type Rules, unsupported } from './rules.js';
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

/**
 * Writes a ConvTranspose node of a training graph in a faster form where there is one; returns whether it did.
 * The output keeps its name.
 */
export function expandConvTranspose(b: GraphBuilder, node: NodeProto, shape: GradContext['shape']): boolean {
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
}

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

export const convRules: Rules = { Conv: conv, ConvTranspose: convTranspose };
