import type { GraphBuilder } from '../onnx/builder.js';
import { product } from './gradient.js';
import { fromPhases, hasPhases, inPhases, phaseWindow } from './phases.js';
import type { Window } from './window.js';

type Shape = readonly number[];

/** Writes dL/dW of a convolution from x of shape `sx` to y of shape `sy`, given `dy` = dL/dy. */
type WeightRule = (b: GraphBuilder, x: string, dy: string, sx: Shape, sy: Shape, win: Window, group: number) => string;

/** Kernels with more taps than this are slower as slices than as one large convolution. */
const MOST_TAPS = 27;
/** Up to this many input channels, one product over all taps beats a product for each. */
const FEW_CHANNELS = 48;
/** Up to this many positions, a depthwise kernel is faster as one grouped convolution. */
const FEW_POSITIONS = 64;

/**
 * dL/dW of a convolution from x [N, Cin, ...] to y [N, Cout, ...], shape [Cout, Cin / group, ...kernel]. There are
 * several ways to write it in ONNX ops; which is fastest depends on the shape (docs/decisions.md has the
 * figures).
 */
export const weightGradient: WeightRule = (b, x, dy, sx, sy, win, group) => {
  const [channels = 1, outputs = 1] = [sx[1], sy[1]];
  const taps = product(win.kernel);
  const strided = win.strides.some((s) => s !== 1);
  if (group > 1) {
    const depthwise = group === channels && group === outputs;
    const large = product(sy.slice(2)) > FEW_POSITIONS;
    if (depthwise && !strided && taps <= MOST_TAPS && large) return depthwiseSums(b, x, dy, sx, sy, win);
    return asConvolution(b, x, dy, sx, sy, win, group);
  }
  if (hasPhases(win, group) && taps <= MOST_TAPS) {
    const blocks = inPhases(b, x, sx, sy[2] ?? 1, win);
    const [stride = 1, own] = [win.strides[0], phaseWindow(win)];
    const shape = [sx[0] ?? 1, channels * stride, (sy[2] ?? 1) + (own.kernel[0] ?? 1) - 1];
    return fromPhases(b, weightGradient(b, blocks, dy, shape, sy, own, 1), outputs, channels, win);
  }
  if (taps > MOST_TAPS || (strided && taps > 1)) return asConvolution(b, x, dy, sx, sy, win, group);
  // A product for each sample writes a kernel's gradient for each: where there are few positions, that is more to write than x and dy turned around.
  const light = channels * outputs <= (channels + outputs) * product(sy.slice(2));
  const together = channels <= FEW_CHANNELS || (taps === 1 && light);
  return together ? allTaps(b, x, dy, sx, sy, win) : eachTap(b, x, dy, sx, sy, win);
};

/**
 * A convolution of x with dy where batch and channels swap places and stride and dilation swap roles; what it
 * computes past the kernel's size (rows that the stride skipped) is cut off.
 */
const asConvolution: WeightRule = (b, x, dy, sx, sy, win, group) => {
  const spatial = win.kernel.map((_, i) => i + 2);
  const swap = { perm: [1, 0, ...spatial] };
  const [batch = 1, channels = 1] = sx;
  const inner = channels / group;
  const grouped = (): string => {
    // [N, G c, ...] -> [c, G N, ...]: the groups stay apart, the batch becomes the channels of each.
    const split = b.op('Reshape', [x, b.ints([batch, group, inner, ...sx.slice(2)])]);
    const turned = b.op('Transpose', [split], { perm: [2, 1, 0, ...spatial.map((i) => i + 1)] });
    return b.op('Reshape', [turned, b.ints([inner, group * batch, ...sx.slice(2)])]);
  };
  const data = group === 1 ? b.op('Transpose', [x], swap) : grouped();
  const full = b.op('Conv', [data, b.op('Transpose', [dy], swap)], {
    strides: win.dilations,
    dilations: win.strides,
    pads: [...win.begin, ...win.end],
    kernel_shape: sy.slice(2),
    group,
  });
  const cut = b.op('Slice', [full, b.ints(spatial.map(() => 0)), b.ints(win.kernel), b.ints(spatial)]);
  return b.op('Transpose', [cut], swap);
};

/** For each tap of the kernel, in row-major order, the part of the padded x that it touches, [N, Cin, ...out]. */
function touched(b: GraphBuilder, x: string, sx: Shape, sy: Shape, win: Window): string[] {
  const axes = b.ints(win.kernel.map((_, i) => i + 2));
  const padded = [...win.begin, ...win.end].some((p) => p > 0)
    ? b.op('Pad', [x, b.ints([0, 0, ...win.begin, 0, 0, ...win.end])])
    : x;
  const whole = win.kernel.every((k, i) => k === 1 && win.strides[i] === 1 && sx[i + 2] === sy[i + 2]);
  if (whole) return [padded];
  let starts: number[][] = [[]];
  win.kernel.forEach((k, i) => {
    const offsets = Array.from({ length: k }, (_, t) => t * (win.dilations[i] ?? 1));
    starts = starts.flatMap((s) => offsets.map((o) => [...s, o]));
  });
  return starts.map((start) => {
    const end = start.map((s, i) => s + ((sy[i + 2] ?? 1) - 1) * (win.strides[i] ?? 1) + 1);
    return b.op('Slice', [padded, b.ints(start), b.ints(end), axes, b.ints(win.strides)]);
  });
}

/** One batched matrix product of dy with all taps side by side, summed over the batch. */
function allTaps(b: GraphBuilder, x: string, dy: string, sx: Shape, sy: Shape, win: Window): string {
  const [batch = 1, channels = 1] = sx;
  const outputs = sy[1] ?? 1;
  const length = product(sy.slice(2));
  const parts = touched(b, x, sx, sy, win);
  const columns = parts.length > 1 ? b.op('Concat', parts, { axis: 1 }) : (parts[0] as string);
  const rows = b.op('Reshape', [columns, b.ints([batch, parts.length * channels, length])]);
  const flat = b.op('Reshape', [dy, b.ints([batch, outputs, length])]);
  const each = b.op('MatMul', [flat, b.op('Transpose', [rows], { perm: [0, 2, 1] })]);
  const sum = b.op('ReduceSum', [each, b.ints([0])], { keepdims: 0 });
  const rank = win.kernel.length;
  const shaped = b.op('Reshape', [sum, b.ints([outputs, ...win.kernel, channels])]);
  return b.op('Transpose', [shaped], { perm: [0, rank + 1, ...win.kernel.map((_, i) => i + 1)] });
}

/** A matrix product [Cout, N L] x [N L, Cin] for each tap. */
function eachTap(b: GraphBuilder, x: string, dy: string, sx: Shape, sy: Shape, win: Window): string {
  const [batch = 1, channels = 1] = sx;
  const outputs = sy[1] ?? 1;
  const length = batch * product(sy.slice(2));
  const perm = [1, 0, ...win.kernel.map((_, i) => i + 2)];
  const matrix = (t: string, rows: number): string =>
    b.op('Reshape', [b.op('Transpose', [t], { perm }), b.ints([rows, length])]);
  const left = matrix(dy, outputs);
  const products = touched(b, x, sx, sy, win).map((t) =>
    b.op('Unsqueeze', [b.op('Gemm', [left, matrix(t, channels)], { transB: 1 }), b.ints([2])]),
  );
  const stacked = products.length > 1 ? b.op('Concat', products, { axis: 2 }) : (products[0] as string);
  return b.op('Reshape', [stacked, b.ints([outputs, channels, ...win.kernel])]);
}

/** Depthwise: each tap is the sum of x dy over batch and positions. */
function depthwiseSums(b: GraphBuilder, x: string, dy: string, sx: Shape, sy: Shape, win: Window): string {
  const channels = sx[1] ?? 1;
  const axes = b.ints([0, ...win.kernel.map((_, i) => i + 2)]);
  const sums = touched(b, x, sx, sy, win).map((t) => {
    const sum = b.op('ReduceSum', [b.op('Mul', [t, dy]), axes], { keepdims: 0 });
    return b.op('Unsqueeze', [sum, b.ints([1])]);
  });
  const stacked = sums.length > 1 ? b.op('Concat', sums, { axis: 1 }) : (sums[0] as string);
  return b.op('Reshape', [stacked, b.ints([channels, 1, ...win.kernel])]);
}
