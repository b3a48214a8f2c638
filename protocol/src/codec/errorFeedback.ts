import type { Layout } from '../layout.js';
import type { CodecOptions, UpdateCodec } from './types.js';

/** An encoded update with both outcomes for the residual that stays on the edge. */
export interface Compensated {
  readonly payload: Uint8Array;
  /** The residual once the update is accepted: what the codec dropped. */
  readonly ifAccepted: Float32Array;
  /** The residual once it is refused: everything that it carried. */
  readonly ifRejected: Float32Array;
}

/**
 * Error feedback (Seide et al. 2014; Karimireddy et al. 2019, Algorithm 1): the residual e of earlier
 * rounds is added before encoding, p = delta + e, and what the codec lost is kept, e' = p - decode(encode(p)).
 * @param residual `layout.total` values, or undefined for zero.
 */
export function encodeWithFeedback(
  codec: UpdateCodec,
  delta: Float32Array,
  residual: Float32Array | undefined,
  layout: Layout,
  options: CodecOptions,
): Compensated {
  const wanted = delta.slice();
  if (residual) {
    if (residual.length !== delta.length)
      throw new RangeError(`residual of ${residual.length} values for ${delta.length}`);
    for (let i = 0; i < wanted.length; i++) wanted[i] = (wanted[i] as number) + (residual[i] as number);
  }
  const payload = codec.encode(wanted, layout, options);
  const ifAccepted = wanted.slice();
  codec.decode(payload, layout).addTo(ifAccepted, -1);
  return { payload, ifAccepted, ifRejected: wanted };
}
