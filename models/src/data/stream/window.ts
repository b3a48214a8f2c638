import { type StreamConfig, streamShape } from './schema.js';

/** A sample cut from a stream. */
export interface StreamWindow {
  /** Of the stream's shape, flat: first the channels' values, then their masks. */
  readonly values: Float32Array;
  /** Class index; -1 where no label was in force, or two were. */
  readonly label: number;
  /** Time of the first and of the last tick, ms since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  /** Share of its values that were measured, in [0, 1]. */
  readonly present: number;
  /** Mean of each channel's measured values in its own unit; NaN where there was none. */
  readonly means: Float32Array;
}

/** A window's ticks in order, channel by channel: what `makeWindow` turns into a sample. */
export interface Ticks {
  /** `channels * window` values; what is missing is NaN. */
  readonly values: Float64Array;
  /** Class index of each tick, or -1. */
  readonly labels: Int32Array;
}

/** Normalises, fills in and masks a window; undefined where too little of it was measured. */
export function makeWindow(
  stream: StreamConfig,
  { values, labels }: Ticks,
  startMs: number,
  endMs: number,
): StreamWindow | undefined {
  const { window, channels, mask, minPresent } = stream;
  const out = new Float32Array(streamShape(stream).reduce((a, d) => a * d, 1));
  const means = new Float32Array(channels.length);
  let measured = 0;
  for (const [c, channel] of channels.entries()) {
    const raw = values.subarray(c * window, (c + 1) * window);
    const { mean, deviation, count } = moments(raw);
    means[c] = count > 0 ? mean : Number.NaN;
    measured += count;
    const [shift, scale] = SCALINGS[stream.normalise]({ mean, deviation, count }, channel);
    fill(raw, out.subarray(c * window, (c + 1) * window), { shift, scale, mean, count, impute: stream.impute });
    if (!mask) continue;
    const masks = out.subarray((channels.length + c) * window, (channels.length + c + 1) * window);
    for (let i = 0; i < window; i++) masks[i] = Number.isNaN(raw[i]) ? 0 : 1;
  }
  const present = measured / (channels.length * window);
  if (measured === 0 || present < minPresent) return undefined;
  return { values: out, label: commonLabel(labels), startMs, endMs, present, means };
}

function moments(raw: Float64Array): Moments {
  let [sum, count] = [0, 0];
  for (const v of raw) {
    if (Number.isNaN(v)) continue;
    sum += v;
    count++;
  }
  const mean = count > 0 ? sum / count : 0;
  let squares = 0;
  for (const v of raw) if (!Number.isNaN(v)) squares += (v - mean) ** 2;
  return { mean, deviation: count > 0 ? Math.sqrt(squares / count) : 0, count };
}

interface Moments {
  readonly mean: number;
  readonly deviation: number;
  readonly count: number;
}

/** Value v of a channel becomes (v - shift) * scale: [shift, scale] by the stream's `normalise`. */
const SCALINGS: Readonly<
  Record<StreamConfig['normalise'], (moments: Moments, channel: StreamConfig['channels'][number]) => [number, number]>
> = {
  none: () => [0, 1],
  // A channel that does not move in a window becomes 0.
  window: ({ mean, deviation }) => [mean, deviation > 1e-9 * Math.max(1, Math.abs(mean)) ? 1 / deviation : 0],
  range: (_moments, { min = -1, max = 1 }) => [(min + max) / 2, 2 / (max - min)],
};

/** What stands where a value is missing. */
const IMPUTED: Readonly<
  Record<StreamConfig['impute'], (known: { readonly last: number; readonly middle: number }) => number>
> = {
  last: ({ last }) => last,
  mean: ({ middle }) => middle,
};

function fill(
  raw: Float64Array,
  out: Float32Array,
  how: { shift: number; scale: number; mean: number; count: number; impute: StreamConfig['impute'] },
): void {
  const scaled = (v: number): number => (v - how.shift) * how.scale;
  // A channel without any value stands at the middle of its scale.
  const middle = how.count > 0 ? scaled(how.mean) : 0;
  let last = middle;
  for (const [i, v] of raw.entries()) {
    if (!Number.isNaN(v)) last = scaled(v);
    out[i] = Number.isNaN(v) ? IMPUTED[how.impute]({ last, middle }) : last;
  }
}

/** The class that more than half of the ticks have. */
function commonLabel(labels: Int32Array): number {
  const counts = new Map<number, number>();
  for (const l of labels) counts.set(l, (counts.get(l) ?? 0) + 1);
  for (const [label, count] of counts) if (count * 2 > labels.length) return label;
  return -1;
}
