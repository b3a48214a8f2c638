import { MAX_LEVEL } from './integers.js';

/** Largest finite bfloat16, and float32. */
const MAX_STEP = 3.3895313892515355e38;
const MAX_FLOAT = 3.4028234663852886e38;

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The smallest bfloat16 (the upper half of a float32) that is at least `value`; at most the largest finite one. */
export function ceilBfloat16(value: number): number {
  if (!(value > 0)) return 0;
  if (value >= MAX_STEP) return MAX_STEP;
  float[0] = value;
  let bits = (word[0] as number) >>> 16;
  while (fromBfloat16(bits) < value) bits++;
  return fromBfloat16(bits);
}

export function toBfloat16(step: number): number {
  float[0] = step;
  return (word[0] as number) >>> 16;
}

export function fromBfloat16(bits: number): number {
  word[0] = (bits << 16) >>> 0;
  return float[0] as number;
}

/** Root mean square of values, in double precision. */
export function rms(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * (values[i] as number);
  return Math.sqrt(sum / values.length);
}

export function peak(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i] as number);
    if (v > most) most = v;
  }
  return most;
}

/** A step that is coded exactly, and coarse enough for levels to stay within MAX_LEVEL. */
export function usableStep(step: number, largest: number): number {
  return ceilBfloat16(Math.max(step, largest / (MAX_LEVEL - 1)));
}

/**
 * Uniform quantiser with a dead zone: sign(x) floor(|x| / step + 1 - deadZone), deadZone in [0.5, 1); 0.5 rounds to
 * nearest, more sends small values to 0. A level times the step stays a finite float32.
 */
export function quantise(values: Float32Array, step: number, deadZone: number, out: Int32Array, start = 0): void {
  const shift = 1 - deadZone;
  const most = Math.min(MAX_LEVEL, Math.floor(MAX_FLOAT / step));
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    const level = Math.min(most, Math.floor(Math.abs(v) / step + shift));
    out[start + i] = v < 0 ? -level : level;
  }
}

/**
 * Sparse ternary (Sattler et al. 2019, arXiv:1903.02891, algorithm 1): of the `keep` largest magnitudes only the
 * sign is kept, with one magnitude for all, their mean. Returns that mean.
 */
export function ternarise(values: Float32Array, keep: number, out: Int32Array): number {
  const floor = magnitudeOfRank(values, keep);
  let above = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i] as number) > floor) above++;
  // Of values as large as the floor, the first ones are kept.
  let ties = keep - above;
  let [sum, kept] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    const size = Math.abs(v);
    const take = size > floor || (size === floor && size > 0 && ties-- > 0);
    out[i] = take ? (v < 0 ? -1 : 1) : 0;
    if (take) {
      sum += size;
      kept++;
    }
  }
  return kept === 0 ? 0 : sum / kept;
}

/** The k-th largest magnitude (k from 1), found by counting exponents and upper bits: two passes, no sorting. */
export function magnitudeOfRank(values: Float32Array, k: number): number {
  if (k >= values.length) return 0;
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upper = new Uint32Array(1 << 15);
  for (let i = 0; i < bits.length; i++) {
    const bin = ((bits[i] as number) & 0x7fffffff) >>> 16;
    upper[bin] = (upper[bin] as number) + 1;
  }
  let [bin, left] = [upper.length - 1, k];
  while (left > (upper[bin] as number)) left -= upper[bin--] as number;
  const lower = new Uint32Array(1 << 16);
  for (let i = 0; i < bits.length; i++) {
    const b = (bits[i] as number) & 0x7fffffff;
    if (b >>> 16 === bin) lower[b & 0xffff] = (lower[b & 0xffff] as number) + 1;
  }
  let rest = lower.length - 1;
  while (left > (lower[rest] as number)) left -= lower[rest--] as number;
  word[0] = ((bin << 16) | rest) >>> 0;
  return float[0] as number;
}
