import { mergedOptions, type OptionSpecs, optionDefaults, ownOptions, RecordTable } from '@ecavg/runtime';
import { type Contribution, defineWeighting, type Weighting, weightingSchema } from './weighting.js';

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
export function discoWeights(
  updates: readonly Contribution[],
  o: { readonly discrepancyScale: number; readonly discrepancyShift: number },
): number[] {
  const raw = sampleWeights(updates).map((p, k) => {
    const d = labelDivergence(updates[k]?.labels ?? []);
    return Math.max(0, p - o.discrepancyScale * d + o.discrepancyShift);
  });
  const total = sum(raw);
  return total > 0 ? raw.map((v) => v / total) : sampleWeights(updates);
}

/**
 * FedNova (Wang et al. 2020, arXiv:2007.07481, equation 6): tau_eff / tau_k with tau_eff = sum_k p_k tau_k, so that edges with more local steps do
 * not pull the average their way; 1 where an edge tells no steps.
 */
function novaScales(updates: readonly Contribution[], weights: readonly number[]): number[] {
  const told = updates.every((u) => u.steps > 0);
  const effective = sum(weights.map((w, k) => w * (updates[k]?.steps ?? 0)));
  return updates.map((u) => (told ? effective / u.steps : 1));
}

/** FedAsync (Xie et al. 2019, arXiv:1903.03934, section 5.2): (t + 1)^-a. */
export const polynomialStaleness = (t: number, a: number): number => (t + 1) ** -a;

/** FedAsync, hinge: 1 up to b, then 1 / (a (t - b) + 1). */
export const hingeStaleness = (t: number, a: number, b: number): number => (t <= b ? 1 : 1 / (a * (t - b) + 1));

/**
 * The weightings of this release. One more is a record here, and nothing else. The order counts: of several that give shares, the last is taken.
 */
const BUILT_IN_WEIGHTINGS = {
  samples: defineWeighting({
    about: 'n_k / n',
    source: 'FedAvg, arXiv:1602.05629',
    options: {},
    shares: sampleWeights,
  }),

  uniform: defineWeighting({
    about: '1 / K',
    source: '',
    options: {},
    shares: (updates) => updates.map(() => 1 / updates.length),
  }),

  feddisco: defineWeighting({
    about:
      '~ ReLU(n_k / n - a d_k + b), d_k = KL(labels of k, uniform), a = `discrepancyScale`, b = `discrepancyShift`; as `samples` where nothing is left',
    source: 'FedDisco, arXiv:2305.19229',
    options: {
      discrepancyScale: { about: "FedDisco's a.", default: 0.5, least: 0 },
      discrepancyShift: { about: "FedDisco's b.", default: 0.1, least: 0 },
    },
    shares: discoWeights,
  }),

  fednova: defineWeighting({
    about: 'D_k scaled by tau_eff / tau_k, tau_eff = sum p_k tau_k',
    source: 'FedNova, arXiv:2007.07481',
    options: {},
    scales: novaScales,
  }),

  'staleness-polynomial': defineWeighting({
    about: 'factor (t + 1)^-a, t the staleness, a = `polynomialExponent`',
    source: 'FedAsync, arXiv:1903.03934',
    options: { polynomialExponent: { about: 'Exponent of the polynomial.', default: 0.5, least: 0 } },
    factor: ({ staleness }, { polynomialExponent }) => polynomialStaleness(staleness, polynomialExponent),
  }),

  'staleness-hinge': defineWeighting({
    about: 'factor 1 up to b, then 1 / (a (t - b) + 1), a = `hingeSlope`, b = `hingeThreshold`',
    source: 'FedAsync, arXiv:1903.03934',
    options: {
      hingeSlope: { about: 'Slope of the hinge.', default: 10, least: 0 },
      hingeThreshold: { about: 'Staleness up to which an update counts fully.', default: 4, least: 0 },
    },
    factor: ({ staleness }, o) => hingeStaleness(staleness, o.hingeSlope, o.hingeThreshold),
  }),

  reliability: defineWeighting({
    about: "factor: share of the edge's updates that were sound, with one of each added",
    source: '',
    options: {},
    factor: ({ reliability }) => reliability,
  }),
} as const satisfies Readonly<Record<string, Weighting>>;

/** Every weighting that settings may name. An option's name belongs to one of them. */
export const WEIGHTINGS: RecordTable<Weighting, keyof typeof BUILT_IN_WEIGHTINGS> = new RecordTable(
  'weighting',
  BUILT_IN_WEIGHTINGS,
  ownOptions(weightingSchema, () => weightingOptions()),
);

/** The options of all weightings. */
export const weightingOptions = (): OptionSpecs => mergedOptions(Object.fromEntries(WEIGHTINGS.entries));

/** The options of this release where settings say nothing. */
export const WEIGHTING_DEFAULTS = optionDefaults(mergedOptions(BUILT_IN_WEIGHTINGS));
