import type { Layout } from '../layout.js';

/** Named numeric options of a codec, as sent in the round message. */
export type CodecOptions = Readonly<Record<string, number>>;

/**
 * What edge and cloud both know of that edge's last accepted update: the quantiser's level of each value, cut to [-127, 127], in the order
 * of the layout. A codec may use it to predict the next update. `hash`: first 16 hex digits of the sha256 of the levels.
 */
export interface Reference {
  readonly hash: string;
  readonly levels: Int8Array;
}

/**
 * Turns the flat float32 difference `w_local - w_base` into bytes and back. Lossy codecs are paired
 * with error feedback (see encodeWithFeedback), which sends what was lost in a later round.
 */
export interface UpdateCodec {
  readonly name: string;
  /** Whether PRESETS are options of this codec. */
  readonly presets: boolean;
  /**
   * @param delta `layout.total` values, in the order of the layout.
   * @param reference what the cloud knows too of this edge's last update; a codec that has no use for it leaves it.
   * @throws ProtocolError `non-finite` for a value that is none; RangeError for an option out of range.
   */
  encode(delta: Float32Array, layout: Layout, options: CodecOptions, reference?: Reference): Uint8Array;
  /** The hash of the reference that a payload was coded with; undefined where it needs none. */
  referenceOf?(payload: Uint8Array): string | undefined;
  /**
   * Decodes without keeping anything, and allocates no more than the layout calls for. What passes here does not fail in `accumulate`.
   * @throws ProtocolError `payload`, `non-finite` or `reference-mismatch`.
   */
  check(payload: Uint8Array, layout: Layout, reference?: Reference): void;
  /**
   * accumulator += weight * update, both of `layout.total` float32 values, decoded as it goes: no float copy of the update is ever made.
   * @throws ProtocolError on a payload that `check` refuses, when a part of it was added already.
   */
  accumulate(
    payload: Uint8Array,
    layout: Layout,
    weight: number,
    accumulator: Float32Array,
    reference?: Reference,
  ): void;
  /** The levels of an update, to be the reference of the next one. */
  levels?(payload: Uint8Array, layout: Layout, reference?: Reference): Reference;
}
