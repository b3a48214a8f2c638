import { functionSchema, type OptionSpecs, type OptionValues, optionSpecsSchema } from '@ecavg/runtime';
import { z } from 'zod';
import type { Geometry } from './gram.js';
import type { Contribution } from './weighting.js';

/** What every combiner is given beside the differences themselves. */
export interface Given<O extends OptionSpecs = OptionSpecs> {
  /** p_k of each update by the weightings; they sum to 1. */
  readonly weights: readonly number[];
  /** What is known of each update, in the order of the weights. */
  readonly updates: readonly Contribution[];
  /** Its own settings, checked, with their defaults. */
  readonly options: OptionValues<O>;
}

interface Described<O extends OptionSpecs> {
  /** One sentence for docs: what the result is, and what it withstands. */
  readonly about: string;
  /** Where the formula comes from. */
  readonly source: string;
  /** Its own settings, `{}` for none: under `strategy.combinerOptions`. */
  readonly options: O;
  /** Changed options of its own to compare it with in `npm run bench -- heterogeneity`. */
  readonly trial?: Partial<OptionValues<O>>;
  /** Updates without which it can't work, at least 1: a round waits for so many. */
  least(options: OptionValues<O>): number;
}

/**
 * The result is sum_k c_k D_k with coefficients that are known before any difference is. One update is decoded at a time, so that memory
 * does not grow with their number; and slices (`train.width` of a gateway) are taken.
 */
export interface StreamingCombiner<O extends OptionSpecs = OptionSpecs> extends Described<O> {
  readonly kind: 'streaming';
  /** c_k of each update. */
  coefficients(given: Given<O>): readonly number[];
}

/**
 * The result is sum_k c_k D_k with coefficients that follow from lengths and inner products of the differences. These are spooled to disk where they
 * are large, and read in blocks.
 */
export interface WeightedSumCombiner<O extends OptionSpecs = OptionSpecs> extends Described<O> {
  readonly kind: 'weighted-sum';
  /** Whether it compares with the cloud's own difference, trained on the reference samples from the same base. */
  readonly ownDifference: boolean;
  /** c_k of each update. */
  coefficients(geometry: Geometry, given: Given<O>): readonly number[];
}

/** The result in each coordinate follows from the differences' values there. They are spooled and read as those of a weighted sum. */
export interface CoordinateCombiner<O extends OptionSpecs = OptionSpecs> extends Described<O> {
  readonly kind: 'coordinates';
  /**
   * Fills `out` with the result. Called block by block, with no promise how large these are.
   * @param rows a row of `out.length` values for each update.
   */
  combine(rows: readonly Float32Array[], out: Float32Array, given: Given<O>): void;
}

/** How differences become one. The three kinds differ in what they see, and so in the memory that they need. */
export type Combiner<O extends OptionSpecs = OptionSpecs> =
  | StreamingCombiner<O>
  | WeightedSumCombiner<O>
  | CoordinateCombiner<O>;

/** A combiner as it is written down, with its options' types inferred; returns it as it is. */
export const defineCombiner = <const O extends OptionSpecs>(record: Combiner<O>): Combiner<O> => record;

const described = {
  about: z.string().min(1),
  source: z.string(),
  options: optionSpecsSchema,
  least: functionSchema,
};

/** What a combiner of an extension must be. */
export const combinerSchema = z.discriminatedUnion('kind', [
  z.looseObject({ ...described, kind: z.literal('streaming'), coefficients: functionSchema }),
  z.looseObject({
    ...described,
    kind: z.literal('weighted-sum'),
    ownDifference: z.boolean(),
    coefficients: functionSchema,
  }),
  z.looseObject({ ...described, kind: z.literal('coordinates'), combine: functionSchema }),
]);
