import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { z } from 'zod';
import { ArgumentError, ProtocolError } from './errors.js';
import { type Seal, seal, unseal } from './sealed.js';
import type { Signer } from './signing.js';
import { IDENTIFIER } from './topics.js';

const headerSchema = z.object({
  fleet: z.string().regex(IDENTIFIER),
  edge: z.string().regex(IDENTIFIER),
  model: z.string().regex(IDENTIFIER),
  /** sha256 of the version: of whose activations, or that asked. */
  base: z.string().regex(/^[0-9a-f]{64}$/),
  kind: z.enum(['samples', 'features']),
  /** Name of the value in the model's graph; only of features. */
  layer: z.string().max(200).optional(),
  /** Shape of one sample or activation. */
  shape: z.array(z.int().min(1)).min(1).max(8),
  count: z.int().min(1).max(1_000_000),
  createdAt: z.number().min(0),
  key: z.string().regex(/^[0-9a-f]{64}$/),
});

/** What is said of samples or activations that a site shares. */
export type ShareHeader = z.infer<typeof headerSchema>;

/** Labelled rows: `values` are `count * product(shape)` float32, row after row; `labels` one class index a row. */
export interface Shared {
  readonly values: Float32Array;
  readonly labels: Int32Array;
}

const SEAL: Seal<ShareHeader> = { magic: [0x45, 0x41, 0x53, 1], what: 'a share', header: headerSchema };
/** A label, and the lowest value and step of the row. */
const ROW_HEAD = 12;

const rowSize = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

/**
 * A share blob: `EAS` 1, header, payload, signature (see sealed.ts). The payload is raw DEFLATE of, for each row, its label (int32), its
 * lowest value and its step (float32), all little-endian, and a byte a value: value = lowest + byte x step, off by at most half a 255th
 * of the row's range.
 * @throws RangeError where the values are not `count` rows of the shape, or not finite.
 */
export function encodeShare(
  header: Omit<ShareHeader, 'key' | 'count'>,
  { values, labels }: Shared,
  signer: Signer,
): Uint8Array {
  const size = rowSize(header.shape);
  if (values.length !== labels.length * size)
    throw new ArgumentError('ECAVG_PROGRAM', `${values.length} values are not ${labels.length} rows of ${size}`);
  const body = new Uint8Array(labels.length * (ROW_HEAD + size));
  const view = new DataView(body.buffer);
  for (const [n, label] of labels.entries()) {
    const row = values.subarray(n * size, (n + 1) * size);
    const [low, high] = row.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [row[0] ?? 0, row[0] ?? 0]);
    if (!Number.isFinite(low) || !Number.isFinite(high))
      throw new ArgumentError('ECAVG_PROGRAM', `row ${n} has values that are not finite`);
    const step = Math.fround((high - low) / 255);
    const at = n * (ROW_HEAD + size);
    view.setInt32(at, label, true);
    view.setFloat32(at + 4, low, true);
    view.setFloat32(at + 8, step, true);
    if (step > 0)
      for (const [i, v] of row.entries()) body[at + ROW_HEAD + i] = Math.min(255, Math.round((v - low) / step));
  }
  return seal(SEAL, { ...header, count: labels.length }, deflateRawSync(body), signer);
}

/**
 * The checked header of a share blob, without unpacking its rows.
 * @throws ProtocolError `payload`, `not-messagepack`, `schema` or `bad-signature`.
 */
export const shareHeader = (blob: Uint8Array): ShareHeader => unseal(SEAL, blob).header;

/**
 * The header and the rows of a share blob, off by at most half a 255th of each row's range.
 * @param classes how many classes there are: labels must lie below.
 * @throws ProtocolError `not-messagepack`, `schema`, `bad-signature`, `payload` where the rows are damaged, or `non-finite`.
 */
export function decodeShare(blob: Uint8Array, classes: number): { header: ShareHeader; shared: Shared } {
  const { header, payload } = unseal(SEAL, blob);
  const size = rowSize(header.shape);
  const length = header.count * (ROW_HEAD + size);
  let body: Uint8Array;
  try {
    body = inflateRawSync(payload, { maxOutputLength: Math.max(1, length) });
  } catch (cause) {
    throw new ProtocolError('payload', 'the rows of the share do not unpack to the size that its header says', {
      cause,
    });
  }
  if (body.length !== length)
    throw new ProtocolError('payload', `the rows of the share take ${body.length} bytes, not ${length}`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const values = new Float32Array(header.count * size);
  const labels = new Int32Array(header.count);
  for (let n = 0; n < header.count; n++) {
    const at = n * (ROW_HEAD + size);
    const label = view.getInt32(at, true);
    if (label < 0 || label >= classes)
      throw new ProtocolError('payload', `label ${label}; there are ${classes} classes`);
    labels[n] = label;
    const [low, step] = [view.getFloat32(at + 4, true), view.getFloat32(at + 8, true)];
    for (let i = 0; i < size; i++) {
      const v = low + (body[at + ROW_HEAD + i] as number) * step;
      if (!Number.isFinite(Math.fround(v)))
        throw new ProtocolError('non-finite', `row ${n} has values that are not finite`);
      values[n * size + i] = v;
    }
  }
  return { header, shared: { values, labels } };
}
