import type { OptionValues } from '@ecavg/runtime';
import type { Contribution, Weighting } from './weighting.js';
import { sampleWeights, WEIGHTING_DEFAULTS, WEIGHTINGS } from './weightings.js';

/** The aggregate is w + sum_k weight_k scale_k D_k; weights sum to 1. */
export interface Weighted {
  readonly weights: readonly number[];
  readonly scales: readonly number[];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/**
 * The named weightings together, in the order of their table: the shares of the last one that gives any (samples n_k / n where none does) times the
 * product of all factors, normalised; and the product of all scales.
 * @throws RangeError for no updates, or where a weighting gives what is no share, factor or scale for each.
 */
export function weigh(
  updates: readonly Contribution[],
  names: readonly string[],
  options: OptionValues = WEIGHTING_DEFAULTS,
): Weighted {
  if (updates.length === 0) throw new RangeError('no updates to weigh');
  for (const name of names) WEIGHTINGS.get(name);
  const named = WEIGHTINGS.entries.filter(([name]) => names.includes(name));
  const each = (what: keyof Weighting, name: string, values: readonly number[]): readonly number[] => {
    if (values.length !== updates.length || !values.every((v) => v >= 0 && v < Number.POSITIVE_INFINITY))
      throw new RangeError(`weighting ${name}: its ${what} are no ${updates.length} numbers of at least 0`);
    return values;
  };
  let weights: readonly number[] = sampleWeights(updates);
  for (const [name, { shares }] of named) if (shares) weights = each('shares', name, shares(updates, options));
  let factors = updates.map(() => 1);
  for (const [name, { factor }] of named) {
    if (!factor) continue;
    const own = each(
      'factor',
      name,
      updates.map((u) => factor(u, options)),
    );
    factors = factors.map((f, k) => f * (own[k] as number));
  }
  const scaled = weights.map((w, k) => w * (factors[k] as number));
  const [shared, total] = [sum(weights), sum(scaled)];
  // Nobody is relied on at all: then everybody alike.
  if (total > 0) weights = scaled.map((w) => w / total);
  else if (!(shared > 0)) weights = sampleWeights(updates);
  let scales = updates.map(() => 1);
  for (const [name, weighting] of named) {
    if (!weighting.scales) continue;
    const own = each('scales', name, weighting.scales(updates, weights, options));
    scales = scales.map((s, k) => s * (own[k] as number));
  }
  return { weights, scales };
}
