import { intAttr, intsAttr, type NodeProto, stringAttr } from '../onnx/model.js';

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

/** Elements averaged at each output position; the padding counts only with count_include_pad. */
export function windowCounts(node: NodeProto, sx: Shape, sy: Shape, win: Window): Float32Array {
  const includePad = intAttr(node, 'count_include_pad', 0) === 1;
  const perAxis = win.kernel.map((k, i) =>
    Array.from({ length: sy[i + 2] ?? 1 }, (_, o) => {
      if (includePad) return k;
      const start = o * (win.strides[i] ?? 1) - (win.begin[i] ?? 0);
      const taps = Array.from({ length: k }, (_, j) => start + j * (win.dilations[i] ?? 1));
      return taps.filter((t) => t >= 0 && t < (sx[i + 2] ?? 1)).length;
    }),
  );
  let counts = [1];
  for (const axis of perAxis) counts = counts.flatMap((c) => axis.map((a) => c * a));
  return Float32Array.from(counts);
}
