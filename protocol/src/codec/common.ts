import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { ArgumentError, ProtocolError } from '../errors.js';
import type { Layout } from '../layout.js';
import type { CodecOptions } from './types.js';

export function brotli(bytes: Uint8Array, quality: number): Uint8Array {
  return brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
}

/** Decompresses at most `limit` bytes, so that a small payload can't ask for much memory. @throws ProtocolError `payload`. */
export function unbrotli(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, limit) });
  } catch (cause) {
    throw new ProtocolError('payload', `Brotli stream is damaged or expands past ${limit} bytes`, { cause });
  }
}

export function checkFinite(values: Float32Array, layout: Layout): void {
  if (values.length !== layout.total) {
    throw new ProtocolError('payload', `${values.length} values; the layout has ${layout.total}`);
  }
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    if (!Number.isFinite(v)) throw notFinite(v, i, layout);
  }
}

/** Names the tensor and the place in it of value `index` of the flat vector. */
export function notFinite(value: number, index: number, layout: Layout): ProtocolError {
  const slot = layout.tensors.find((t) => index >= t.offset && index < t.offset + t.length);
  return new ProtocolError(
    'non-finite',
    `tensor ${JSON.stringify(slot?.name ?? '?')}[${index - (slot?.offset ?? 0)}] is ${value}`,
  );
}

/**
 * Holds a scale s of tensor `name` to what an 8-bit codec can take: 127 s is still a finite float32.
 * @throws ProtocolError `non-finite` where it is not, or s is negative.
 */
export function checkScale(scale: number, name: string): void {
  if (!Number.isFinite(Math.fround(scale * 127)) || scale < 0) {
    throw new ProtocolError('non-finite', `tensor ${JSON.stringify(name)} has scale ${scale}`);
  }
}

export function option(options: CodecOptions, name: string, fallback: number, min: number, max: number): number {
  const value = options[name] ?? fallback;
  if (!(value >= min && value <= max))
    throw new ArgumentError('ECAVG_MODEL_OPTION', `codec option ${name} is ${value}; allowed: ${min} to ${max}`);
  return value;
}

/** Symmetric 8-bit scale of a tensor: max |x| / 127. */
export function int8Scale(values: Float32Array, from: number, length: number): number {
  let peak = 0;
  for (let i = from; i < from + length; i++) peak = Math.max(peak, Math.abs(values[i] as number));
  return Math.fround(peak / 127);
}

/** Nearest step in [-127, 127]; a scale that underflowed to 0 sends 0. */
export function toInt8(value: number, scale: number): number {
  if (scale === 0) return 0;
  const q = Math.round(value / scale);
  return q > 127 ? 127 : q < -127 ? -127 : q;
}
