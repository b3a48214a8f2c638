import { ArgumentError } from '../errors.js';
import type { Layout } from '../layout.js';
import type { CodecOptions, Reference, UpdateCodec } from './types.js';

/** What an edge carries from one update to the next; `layout.total` values each, absent where all are zero. */
export interface Carried {
  /** What codecs dropped so far. */
  readonly residual?: Float32Array;
  /** Momentum correction: the decaying sum of this edge's differences. */
  readonly velocity?: Float32Array;
}

/** An encoded update with both outcomes for what stays on the edge. */
export interface Compensated {
  readonly payload: Uint8Array;
  readonly ifAccepted: Carried;
  /** Everything that the update carried is given back. */
  readonly ifRejected: Carried;
}

/**
 * Error feedback (Seide et al. 2014; Karimireddy et al. 2019, Algorithm 1): the residual e of earlier
 * rounds is added before encoding, p = delta + e, and what the codec lost is kept, e' = p - decode(encode(p)).
 *
 * With option `momentum` m > 0, momentum correction and factor masking of Deep Gradient Compression (Lin et al. 2018,
 * section 3.1 and 3.2): u = m u + delta, p = u + e, and u is cleared where a value was sent. The model then moves by about
 * 1 / (1 - m) times the differences, as with momentum on the server.
 * @throws RangeError where what is carried has another length than the update.
 */
export function encodeWithFeedback(
  codec: UpdateCodec,
  delta: Float32Array,
  carried: Carried,
  layout: Layout,
  options: CodecOptions,
  reference?: Reference,
): Compensated {
  const { residual, velocity: before } = carried;
  for (const v of [residual, before]) {
    if (v && v.length !== delta.length)
      throw new ArgumentError('ECAVG_MODEL_OPTION', `${v.length} carried values for ${delta.length}`);
  }
  const momentum = options.momentum ?? 0;
  if (!(momentum >= 0 && momentum < 1))
    throw new ArgumentError('ECAVG_MODEL_OPTION', `codec option momentum is ${momentum}; allowed: 0 to 1`);
  const velocity = momentum > 0 ? delta.slice() : undefined;
  if (velocity && before) add(velocity, before, momentum);
  const wanted = (velocity ?? delta).slice();
  if (residual) add(wanted, residual, 1);
  const payload = codec.encode(wanted, layout, options, reference);
  const left = wanted.slice();
  codec.accumulate(payload, layout, -1, left, reference);
  if (!velocity) return { payload, ifAccepted: { residual: left }, ifRejected: { residual: wanted } };
  const masked = velocity.map((v, i) => (left[i] === wanted[i] ? v : 0));
  // Rejected: what was wanted becomes the residual, this difference included, so that it is not added a second time.
  return {
    payload,
    ifAccepted: { residual: left, velocity: masked },
    ifRejected: { residual: wanted, velocity },
  };
}

function add(to: Float32Array, from: Float32Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] as number) + factor * (from[i] as number);
}
