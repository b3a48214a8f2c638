import { createHash } from 'node:crypto';

/** One tensor of a model: float32, row-major, `length` values from `offset` in the flat vector. */
export interface TensorSlot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/**
 * The order and shapes of a model's tensors in one flat float32 vector. Two models can be averaged
 * only where their layouts have the same `hash` (first 16 hex digits of a sha256 over names and shapes).
 */
export interface Layout {
  readonly tensors: readonly TensorSlot[];
  readonly total: number;
  readonly hash: string;
}

/**
 * The layout of tensors in this order. A shape [] is a scalar, of length 1. The hash covers names and shapes as JSON, so it depends on the
 * order too.
 */
export function makeLayout(tensors: readonly { name: string; shape: readonly number[] }[]): Layout {
  let offset = 0;
  const slots = tensors.map(({ name, shape }) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const slot = { name, shape: [...shape], offset, length };
    offset += length;
    return slot;
  });
  const canonical = JSON.stringify(slots.map((s) => [s.name, s.shape]));
  return { tensors: slots, total: offset, hash: sha256Hex(Buffer.from(canonical)).slice(0, 16) };
}

/** sha256 of bytes, or of a text in UTF-8, as 64 hex digits. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
