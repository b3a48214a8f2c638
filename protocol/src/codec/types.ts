import type { Layout } from '../layout.js';

/** Named numeric options of a codec, as sent in the round message. */
export type CodecOptions = Readonly<Record<string, number>>;

/**
 * What both ends know of the same edge's last accepted update: each value's level held to [-127, 127], one a value of the layout.
 * A codec may code the next update in its light. `hash`: first 16 hex digits of the sha256 of the levels.
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
  /** `delta` has `layout.total` finite values; throws `non-finite` otherwise, RangeError on bad options. */
  encode(delta: Float32Array, layout: Layout, options: CodecOptions, reference?: Reference): Uint8Array;
  /** The hash of the reference that a payload was coded with; undefined where it needs none. */
  referenceOf?(payload: Uint8Array): string | undefined;
  /**
   * Decodes without keeping anything. Throws `payload`, `non-finite` or `reference-mismatch`; allocates no more than the
   * layout calls for. What passes here does not fail in `accumulate`.
   */
  check(payload: Uint8Array, layout: Layout, reference?: Reference): void;
  /**
   * accumulator += weight * update, both of `layout.total` float32 values, decoded as it goes: no float copy of the update is
   * ever made. On a payload that `check` refuses it throws half-way.
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
