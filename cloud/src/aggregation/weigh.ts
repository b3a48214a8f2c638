import { ArgumentError } from '@ecavg/protocol/errors';
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
 * @throws ArgumentError for no updates, or where a weighting gives what is no share, factor or scale for each; ConfigError for an unknown name.
 */
export function weigh(
  updates: readonly Contribution[],
  names: readonly string[],
  options: OptionValues = WEIGHTING_DEFAULTS,
): Weighted {
  for (const name of names) WEIGHTINGS.get(name);
  return weighBy(
    WEIGHTINGS.entries.filter(([name]) => names.includes(name)),
    updates,
    options,
  );
}

/** As `weigh`, by weightings that need not be in the table. */
export function weighBy(
  weightings: readonly (readonly [name: string, weighting: Weighting])[],
  updates: readonly Contribution[],
  options: OptionValues,
): Weighted {
  if (updates.length === 0) throw new ArgumentError('ECAVG_AGGREGATE', 'no updates to weigh');
  const each = (what: string, name: string, values: readonly number[]): readonly number[] => {
    if (
      !Array.isArray(values) ||
      values.length !== updates.length ||
      !values.every((v) => v >= 0 && v < Number.POSITIVE_INFINITY)
    )
      throw new ArgumentError(
        'ECAVG_AGGREGATE',
        `weighting ${name} gave ${what} [${values}], not ${updates.length} numbers of at least 0`,
      );
    return values;
  };
  let weights: readonly number[] = sampleWeights(updates);
  let factors = updates.map(() => 1);
  for (const [name, { shares, factor }] of weightings) {
    if (shares) weights = each('shares', name, shares(updates, options));
    if (factor) {
      const own = each(
        'factors',
        name,
        updates.map((u) => factor(u, options)),
      );
      factors = factors.map((f, k) => f * (own[k] as number));
    }
  }
  const scaled = weights.map((w, k) => w * (factors[k] as number));
  const total = sum(scaled);
  // Nobody is relied on at all: then everybody alike.
  if (total > 0) weights = scaled.map((w) => w / total);
  else if (!(sum(weights) > 0)) weights = sampleWeights(updates);
  let scales = updates.map(() => 1);
  for (const [name, weighting] of weightings) {
    if (!weighting.scales) continue;
    const own = each('scales', name, weighting.scales(updates, weights, options));
    scales = scales.map((s, k) => s * (own[k] as number));
  }
  return { weights, scales };
}
