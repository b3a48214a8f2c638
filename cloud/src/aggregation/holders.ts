import type { Addable } from './rows.js';

/** A decoded update that may cover a part of the coordinates only. */
export interface DecodedUpdate extends Addable {
  /** Coordinates that it has values for; undefined: all. */
  readonly holds?: Int32Array | undefined;
}

/**
 * out += sum_k shares_k D_k, where each coordinate counts those who hold it: the sum is divided by their part of all
 * shares (HeteroFL: Diao et al. 2021, arXiv:2010.01264, equations 4 and 5, with weights). A coordinate that nobody holds stays.
 */
export async function sumOverHolders(
  updates: readonly DecodedUpdate[],
  shares: readonly number[],
  out: Float32Array,
): Promise<Float32Array> {
  for (const [k, update] of updates.entries()) if (shares[k]) await update.addTo(out, shares[k] as number);
  divideByHolders(updates, shares, out);
  return out;
}

/** The division alone, of a sum that was made otherwise. In place. */
export function divideByHolders(
  updates: readonly Pick<DecodedUpdate, 'holds'>[],
  shares: readonly number[],
  out: Float32Array,
): void {
  const counted = updates.flatMap((update, k) => (shares[k] ? [{ update, share: shares[k] as number }] : []));
  if (counted.every(({ update }) => !update.holds)) return;
  const all = counted.reduce((a, c) => a + Math.abs(c.share), 0);
  const held = new Float32Array(out.length);
  for (const { update, share } of counted) {
    const part = Math.abs(share) / all;
    if (!update.holds) for (let i = 0; i < held.length; i++) held[i] = (held[i] as number) + part;
    else for (const i of update.holds) held[i] = (held[i] as number) + part;
  }
  for (let i = 0; i < out.length; i++) if ((held[i] as number) > 0) out[i] = (out[i] as number) / (held[i] as number);
}
