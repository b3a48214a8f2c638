import type { GraphBuilder } from '../onnx/builder.js';
import type { Window } from './window.js';

type Shape = readonly number[];

/**
 * A strided convolution of a signal touches x in phases: tap t = r + m s of output o meets x at phase r of
 * block o + m. With x written as [N, C s, L / s] it is a convolution of stride 1 with ceil(k / s) taps, which
 * ONNX Runtime runs up to 6 times as fast as its transposed and its dilated kernels (docs/decisions.md).
 * For images those kernels are the faster ones.
 */
export function hasPhases(win: Window, group: number): boolean {
  return group === 1 && win.kernel.length === 1 && (win.strides[0] ?? 1) > 1 && (win.dilations[0] ?? 1) === 1;
}

interface Phases {
  readonly stride: number;
  readonly pad: number;
  /** Taps of each phase; the kernel is filled up with zeros to `taps * stride`. */
  readonly taps: number;
  readonly missing: number;
}

function phasesOf(win: Window): Phases {
  const [kernel = 1, stride = 1, pad = 0] = [win.kernel[0], win.strides[0], win.begin[0]];
  const taps = Math.ceil(kernel / stride);
  return { stride, pad, taps, missing: taps * stride - kernel };
}

/**
 * The transposed convolution of dy [N, Cout, Ly] with w [Cout, Cin, k]: dL/dx [N, Cin, Lx] of the convolution
 * that `win` describes. Phase r of block q of x is the sum over m of dy[q - m] w[r + m s]: a convolution that
 * makes Cin s channels, which are then put in a row.
 */
export function transposedInPhases(b: GraphBuilder, dy: string, w: string, sx: Shape, sy: Shape, win: Window): string {
  const { stride, pad, taps, missing } = phasesOf(win);
  const [batch = 1, inputs = 1, length = 1] = sx;
  const [, outputs = 1, steps = 1] = sy;
  const filled = missing > 0 ? b.op('Pad', [w, b.ints([0, 0, 0, 0, 0, missing])]) : w;
  const split = b.op('Reshape', [filled, b.ints([outputs, inputs, taps, stride])]);
  const turned = b.op('Slice', [split, b.ints([taps - 1]), b.ints([-taps - 1]), b.ints([2]), b.ints([-1])]);
  const kernel = b.op('Reshape', [
    b.op('Transpose', [turned], { perm: [1, 3, 0, 2] }),
    b.ints([inputs * stride, outputs, taps]),
  ]);
  // Blocks from 0 to that of the last x; the padding of x is cut off at the end.
  const blocks = Math.max(Math.floor((length - 1 + pad) / stride) + 1, steps + taps - 1);
  const y = b.op('Conv', [dy, kernel], { pads: [taps - 1, blocks - steps] });
  const apart = b.op('Reshape', [y, b.ints([batch, inputs, stride, blocks])]);
  const row = b.op('Reshape', [
    b.op('Transpose', [apart], { perm: [0, 1, 3, 2] }),
    b.ints([batch, inputs, blocks * stride]),
  ]);
  return b.op('Slice', [row, b.ints([pad]), b.ints([pad + length]), b.ints([2])]);
}

/** x [N, C, L] in phases, [N, C s, blocks]: enough of them for every tap of every output. */
export function inPhases(b: GraphBuilder, x: string, sx: Shape, steps: number, win: Window): string {
  const { stride, pad, taps } = phasesOf(win);
  const [batch = 1, channels = 1, length = 1] = sx;
  const blocks = steps + taps - 1;
  const end = blocks * stride - pad - length;
  const padded = b.op('Pad', [x, b.ints([0, 0, pad, 0, 0, Math.max(0, end)])]);
  const whole = end < 0 ? b.op('Slice', [padded, b.ints([0]), b.ints([blocks * stride]), b.ints([2])]) : padded;
  const split = b.op('Reshape', [whole, b.ints([batch, channels, blocks, stride])]);
  const turned = b.op('Transpose', [split], { perm: [0, 1, 3, 2] });
  return b.op('Reshape', [turned, b.ints([batch, channels * stride, blocks])]);
}

/** The window of the same convolution over `inPhases`. */
export const phaseWindow = (win: Window): Window => ({
  kernel: [phasesOf(win).taps],
  strides: [1],
  dilations: [1],
  begin: [0],
  end: [0],
});

/** dL/dw [Cout, C s, taps] of the convolution over phases, as that of the strided one [Cout, C, k]. */
export function fromPhases(b: GraphBuilder, dw: string, outputs: number, channels: number, win: Window): string {
  const { stride, taps, missing } = phasesOf(win);
  const split = b.op('Reshape', [dw, b.ints([outputs, channels, stride, taps])]);
  const turned = b.op('Transpose', [split], { perm: [0, 1, 3, 2] });
  const row = b.op('Reshape', [turned, b.ints([outputs, channels, taps * stride])]);
  return missing === 0 ? row : b.op('Slice', [row, b.ints([0]), b.ints([taps * stride - missing]), b.ints([2])]);
}
