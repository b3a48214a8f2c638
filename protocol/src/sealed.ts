import type { z } from 'zod';
import { ProtocolError } from './errors.js';
import { pack, unpack } from './msgpack.js';
import { isSignedBy, SIGNATURE_BYTES, type Signer } from './signing.js';

const MAX_HEADER = 64 * 1024;
const HEAD = 8;

/** What kind of blob it is: three letters and the format's version. */
export interface Seal<T extends { readonly key: string }> {
  readonly magic: readonly [number, number, number, number];
  /** For messages of errors, as in "an update". */
  readonly what: string;
  readonly header: z.ZodType<T>;
}

/**
 * magic (4) | header length, uint32 LE (4) | header, MessagePack | payload | Ed25519 signature over everything before
 * it (64).
 */
export function seal<T extends { readonly key: string }>(
  { magic, header: schema }: Seal<T>,
  header: Omit<T, 'key'>,
  payload: Uint8Array,
  signer: Signer,
): Uint8Array {
  const head = pack(schema.parse({ ...header, key: signer.key }));
  const end = HEAD + head.length + payload.length;
  const blob = new Uint8Array(end + SIGNATURE_BYTES);
  blob.set(magic, 0);
  new DataView(blob.buffer).setUint32(4, head.length, true);
  blob.set(head, HEAD);
  blob.set(payload, HEAD + head.length);
  blob.set(signer.sign(blob.subarray(0, end)), end);
  return blob;
}

/**
 * Splits a blob into its checked header and its payload (a view).
 * @throws ProtocolError `payload`, `not-messagepack`, `schema`, or `bad-signature` where it is not signed with the key that it names.
 */
export function unseal<T extends { readonly key: string }>(
  { magic, what, header: schema }: Seal<T>,
  blob: Uint8Array,
): { header: T; payload: Uint8Array } {
  if (blob.length < HEAD + SIGNATURE_BYTES || magic.some((b, i) => blob[i] !== b))
    throw new ProtocolError('payload', `not ${what} of format ${magic[3]}`);
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(4, true);
  if (length > MAX_HEADER || length > blob.length - HEAD - SIGNATURE_BYTES)
    throw new ProtocolError('payload', `a header of ${length} bytes in a blob of ${blob.length}`);
  const parsed = schema.safeParse(unpack(blob.subarray(HEAD, HEAD + length)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ProtocolError(
      'schema',
      `header of ${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const end = blob.length - SIGNATURE_BYTES;
  if (!isSignedBy(parsed.data.key, blob.subarray(0, end), blob.subarray(end)))
    throw new ProtocolError('bad-signature', `${what} is not signed with key ${parsed.data.key.slice(0, 16)}`);
  return { header: parsed.data, payload: blob.subarray(HEAD + length, end) };
}
