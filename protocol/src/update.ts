import { z } from 'zod';
import { ProtocolError } from './errors.js';
import { pack, unpack } from './msgpack.js';
import { isSignedBy, SIGNATURE_BYTES, type Signer } from './signing.js';
import { IDENTIFIER } from './topics.js';

/** First bytes of an update blob: "EAU" and the format's version. */
const MAGIC = Uint8Array.of(0x45, 0x41, 0x55, 2);
const MAX_HEADER = 64 * 1024;

const count = z.int().min(0);
const headerSchema = z.object({
  fleet: z.string().regex(IDENTIFIER),
  edge: z.string().regex(IDENTIFIER),
  model: z.string().regex(IDENTIFIER),
  round: z.int().min(1),
  /** sha256 of the base model's inference ONNX. */
  base: z.string().regex(/^[0-9a-f]{64}$/),
  codec: z.string().max(40),
  layout: z.string().regex(/^[0-9a-f]{16}$/),
  /** Training samples n_k, the FedAvg weight. */
  samples: z.int().min(1).max(1e12),
  /** Optimiser steps taken since the base (tau_k of FedNova). */
  steps: count,
  createdAt: z.number().min(0),
  /** Samples of each class, maybe with noise; only where the site allows it. */
  labels: z.array(z.number().min(0)).max(10_000).optional(),
  /** Ed25519 public key of the edge, hex. */
  key: z.string().regex(/^[0-9a-f]{64}$/),
  /** Accuracies in [0, 1], losses, seconds. */
  metrics: z.record(z.string().max(60), z.number()),
});

/** What an edge says of its update; travels inside the hashed blob. */
export type UpdateHeader = z.infer<typeof headerSchema>;

/**
 * magic (4) | header length, uint32 LE (4) | header, MessagePack | payload of the named codec | Ed25519 signature over
 * everything before it (64).
 */
export function encodeUpdate(header: Omit<UpdateHeader, 'key'>, payload: Uint8Array, signer: Signer): Uint8Array {
  const head = pack(headerSchema.parse({ ...header, key: signer.key }));
  const end = 8 + head.length + payload.length;
  const blob = new Uint8Array(end + SIGNATURE_BYTES);
  blob.set(MAGIC, 0);
  new DataView(blob.buffer).setUint32(4, head.length, true);
  blob.set(head, 8);
  blob.set(payload, 8 + head.length);
  blob.set(signer.sign(blob.subarray(0, end)), end);
  return blob;
}

/**
 * Splits a blob into its checked header and its payload (a view). Throws `payload`, `not-messagepack`, `schema`, or
 * `bad-signature` where it is not signed with the key that it names.
 */
export function decodeUpdate(blob: Uint8Array): { header: UpdateHeader; payload: Uint8Array } {
  if (blob.length < 8 + SIGNATURE_BYTES || MAGIC.some((b, i) => blob[i] !== b)) {
    throw new ProtocolError('payload', 'not an update blob of format 2');
  }
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(4, true);
  if (length > MAX_HEADER || length > blob.length - 8 - SIGNATURE_BYTES) {
    throw new ProtocolError('payload', `update header of ${length} bytes in a blob of ${blob.length}`);
  }
  const parsed = headerSchema.safeParse(unpack(blob.subarray(8, 8 + length)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ProtocolError('schema', `update header ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  const end = blob.length - SIGNATURE_BYTES;
  if (!isSignedBy(parsed.data.key, blob.subarray(0, end), blob.subarray(end)))
    throw new ProtocolError('bad-signature', `the update is not signed with key ${parsed.data.key.slice(0, 16)}`);
  return { header: parsed.data, payload: blob.subarray(8 + length, end) };
}
