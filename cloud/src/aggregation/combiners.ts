import { mergedOptions, type OptionSpecs, ownOptions, RecordTable } from '@ecavg/runtime';
import { type Combiner, combinerSchema, defineCombiner } from './combiner.js';
import { coordinateMedian, fltrust, geometricMedian, multiKrum, trimmedMean } from './robust.js';

/**
 * The combiners of this release. One more is a record here, and nothing else: settings, docs (`npm run generate:docs`), benches and the
 * conformance test take it from the table.
 */
const BUILT_IN_COMBINERS = {
  mean: defineCombiner({
    kind: 'streaming',
    about: 'sum p_k D_k; withstands nobody hostile, but `clip` bounds the harm',
    source: 'FedAvg, arXiv:1602.05629',
    options: {},
    least: () => 1,
    coefficients: ({ weights }) => weights,
  }),

  median: defineCombiner({
    kind: 'coordinates',
    about: 'median of each coordinate; withstands less than half of the edges',
    source: 'arXiv:1803.01498',
    options: {},
    least: () => 1,
    combine: coordinateMedian,
  }),

  'trimmed-mean': defineCombiner({
    kind: 'coordinates',
    about: 'mean of each coordinate without the `trim` smallest and largest; withstands this share of the edges',
    source: 'arXiv:1803.01498',
    options: {
      trim: {
        about: 'Share of the smallest and of the largest values that the trimmed mean leaves out.',
        default: 0.2,
        least: 0,
        below: 0.5,
      },
    },
    least: () => 1,
    combine: (rows, out, { options }) => trimmedMean(rows, options.trim, out),
  }),

  'multi-krum': defineCombiner({
    kind: 'weighted-sum',
    about:
      'mean of the K - f updates nearest to their neighbours; withstands f = `hostile` edges, and wants 2 f + 3 updates',
    source: 'Blanchard et al. 2017',
    options: {
      hostile: { about: 'Edges that may be hostile.', default: 1, least: 0, whole: true },
    },
    trial: { hostile: 2 },
    least: ({ hostile }) => 2 * hostile + 3,
    ownDifference: false,
    coefficients: ({ gram }, { options }) => multiKrum(gram, options.hostile),
  }),

  'geometric-median': defineCombiner({
    kind: 'weighted-sum',
    about: 'the point with the least weighted distance to the D_k; withstands less than half of the weight',
    source: 'arXiv:1912.13445',
    options: {},
    least: () => 1,
    ownDifference: false,
    coefficients: ({ gram }, { weights }) => geometricMedian(gram, weights),
  }),

  fltrust: defineCombiner({
    kind: 'weighted-sum',
    about:
      "D_k by their cosine with the cloud's own update, at its length; withstands any number that points another way",
    source: 'arXiv:2012.13995',
    options: {},
    least: () => 1,
    ownDifference: true,
    coefficients: ({ gram }) => fltrust(gram),
  }),
} as const satisfies Readonly<Record<string, Combiner>>;

/** The options of all combiners of this release. */
export const BUILT_IN_OPTIONS = mergedOptions(BUILT_IN_COMBINERS);

/** Every combiner that settings may name. An option's name belongs to one of them. */
export const COMBINERS: RecordTable<Combiner, keyof typeof BUILT_IN_COMBINERS> = new RecordTable(
  'combiner',
  BUILT_IN_COMBINERS,
  ownOptions(combinerSchema, () => combinerOptions()),
);

/** The options of all combiners. */
export const combinerOptions = (): OptionSpecs => mergedOptions(Object.fromEntries(COMBINERS.entries));
