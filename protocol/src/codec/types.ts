import type { Layout } from '../layout.js';

/** A decoded update. Everything was checked while decoding, so adding it can't fail half-way. */
export interface DecodedUpdate {
  /** accumulator += weight * update, both of `layout.total` float32 values. */
  addTo(accumulator: Float32Array, weight: number): void;
}

/** Named numeric options of a codec, as sent in the round message. */
export type CodecOptions = Readonly<Record<string, number>>;

/**
 * Turns the flat float32 difference `w_local - w_base` into bytes and back. Lossy codecs are paired
 * with error feedback (see ErrorFeedback), which sends what was lost in a later round.
 */
export interface UpdateCodec {
  readonly name: string;
  /** `delta` has `layout.total` finite values; throws `non-finite` otherwise. */
  encode(delta: Float32Array, layout: Layout, options: CodecOptions): Uint8Array;
  /** Throws `payload` or `non-finite`; allocates no more than the layout calls for. */
  decode(payload: Uint8Array, layout: Layout): DecodedUpdate;
}
