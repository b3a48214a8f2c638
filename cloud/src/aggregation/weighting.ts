/** What a weighting looks at: one accepted update. */
export interface Contribution {
  readonly edge: string;
  /** Training samples n_k. */
  readonly samples: number;
  /** Optimiser steps tau_k since the base. */
  readonly steps: number;
  /** Samples of each class, where the edge says so. */
  readonly labels?: readonly number[];
  /** Versions between the update's base and the current one; 0 in synchronous rounds. */
  readonly staleness: number;
  /** How well the edge's earlier updates served, in [0, 1]. */
  readonly reliability: number;
}

/** The aggregate is w + sum_k weight_k scale_k D_k; weights sum to 1. */
export interface Weighted {
  readonly weights: readonly number[];
  readonly scales: readonly number[];
}

export const WEIGHTINGS = [
  'samples',
  'uniform',
  'feddisco',
  'fednova',
  'staleness-polynomial',
  'staleness-hinge',
  'reliability',
] as const;
export type Weighting = (typeof WEIGHTINGS)[number];

export interface WeightingOptions {
  /** FedDisco's a and b. */
  readonly discrepancyScale: number;
  readonly discrepancyShift: number;
  /** Exponent of the polynomial; slope and threshold of the hinge. */
  readonly polynomialExponent: number;
  readonly hingeSlope: number;
  readonly hingeThreshold: number;
}

export const WEIGHTING_DEFAULTS: WeightingOptions = {
  discrepancyScale: 0.5,
  discrepancyShift: 0.1,
  polynomialExponent: 0.5,
  hingeSlope: 10,
  hingeThreshold: 4,
};

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** p_k = n_k / n (FedAvg; McMahan et al. 2017, arXiv:1602.05629, Algorithm 1). */
export function sampleWeights(updates: readonly Contribution[]): number[] {
  const n = sum(updates.map((u) => u.samples));
  return updates.map((u) => u.samples / n);
}

/** KL(labels || uniform) in nats of a histogram: 0 where all classes are equally frequent, ln C where there is only one. */
export function labelDivergence(labels: readonly number[]): number {
  const n = sum(labels);
  if (n === 0) return 0;
  return sum(labels.map((c) => (c === 0 ? 0 : (c / n) * Math.log((c / n) * labels.length))));
}

/**
 * FedDisco (Ye et al. 2023, arXiv:2305.19229, equation 7): p_k ~ ReLU(n_k / n - a d_k + b), d_k the divergence of the edge's labels from
 * uniform; FedAvg's weights where nothing is left, and for edges that tell no labels d_k = 0.
 */
export function discoWeights(updates: readonly Contribution[], o: WeightingOptions): number[] {
  const raw = sampleWeights(updates).map((p, k) => {
    const d = labelDivergence(updates[k]?.labels ?? []);
    return Math.max(0, p - o.discrepancyScale * d + o.discrepancyShift);
  });
  const total = sum(raw);
  return total > 0 ? raw.map((v) => v / total) : sampleWeights(updates);
}

/** FedAsync (Xie et al. 2019, arXiv:1903.03934, section 5.2): (t + 1)^-a. */
export const polynomialStaleness = (t: number, a: number): number => (t + 1) ** -a;

/** FedAsync, hinge: 1 up to b, then 1 / (a (t - b) + 1). */
export const hingeStaleness = (t: number, a: number, b: number): number => (t <= b ? 1 : 1 / (a * (t - b) + 1));

/**
 * The product of the named weightings, normalised. `samples`, `uniform` and `feddisco` give the shares; where none is named, samples do.
 * `fednova` (Wang et al. 2020, arXiv:2007.07481, equation 6) scales each difference by tau_eff / tau_k, tau_eff = sum_k p_k tau_k,
 * so that edges with more local steps do not pull the average their way.
 * @throws RangeError for no updates.
 */
export function weigh(
  updates: readonly Contribution[],
  names: readonly Weighting[],
  options: WeightingOptions = WEIGHTING_DEFAULTS,
): Weighted {
  if (updates.length === 0) throw new RangeError('no updates to weigh');
  let weights = names.includes('feddisco')
    ? discoWeights(updates, options)
    : names.includes('uniform')
      ? updates.map(() => 1 / updates.length)
      : sampleWeights(updates);
  const factor = (u: Contribution): number =>
    (names.includes('staleness-polynomial') ? polynomialStaleness(u.staleness, options.polynomialExponent) : 1) *
    (names.includes('staleness-hinge') ? hingeStaleness(u.staleness, options.hingeSlope, options.hingeThreshold) : 1) *
    (names.includes('reliability') ? u.reliability : 1);
  const scaled = weights.map((w, k) => w * factor(updates[k] as Contribution));
  const total = sum(scaled);
  // Nobody is relied on at all: then everybody alike.
  if (total > 0) weights = scaled.map((w) => w / total);
  const nova = names.includes('fednova') && updates.every((u) => u.steps > 0);
  const effective = sum(weights.map((w, k) => w * (updates[k]?.steps ?? 0)));
  return { weights, scales: updates.map((u) => (nova ? effective / u.steps : 1)) };
}
