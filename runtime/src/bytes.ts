import { z } from 'zod';

/** Bytes in a MessagePack file. */
export const bytesSchema = z.custom<Uint8Array>((v) => v instanceof Uint8Array);

/** float32 values as bytes in a MessagePack file: see toFloats. */
export const floatsSchema = bytesSchema.refine((v) => v.length % 4 === 0, 'is no sequence of float32');

/** The same memory as bytes, 4 a value. */
export const toBytes = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);

/** A copy as float32 values. @param v 4 bytes a value, at any offset. */
export const toFloats = (v: Uint8Array): Float32Array => new Float32Array(new Uint8Array(v).buffer);
