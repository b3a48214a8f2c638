import { functionSchema, type OptionSpecs, type OptionValues, optionSpecsSchema } from '@ecavg/runtime';
import { z } from 'zod';

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

interface Parts<O extends OptionSpecs> {
  /**
   * The share of each update, at least 0; their sum does not matter. Of several weightings that give shares the one that stands last in the table
   * counts; where none does, samples n_k do.
   */
  shares(updates: readonly Contribution[], options: OptionValues<O>): readonly number[];
  /** At least 0: multiplies the update's share. The factors of several weightings are multiplied. */
  factor(update: Contribution, options: OptionValues<O>): number;
  /**
   * Multiplies each difference itself, and leaves the weights as they are. Those of several weightings are multiplied.
   * @param weights p_k after shares and factors; they sum to 1.
   */
  scales(updates: readonly Contribution[], weights: readonly number[], options: OptionValues<O>): readonly number[];
}

type AtLeastOne<T> = { [K in keyof T]-?: Required<Pick<T, K>> & Partial<Omit<T, K>> }[keyof T];

/** How much each update counts. A record gives shares, a factor or scales: at least one of them. */
export type Weighting<O extends OptionSpecs = OptionSpecs> = AtLeastOne<Parts<O>> & {
  /** One line for docs: p_k, the factor or the scale. */
  readonly about: string;
  /** Where the formula comes from. */
  readonly source: string;
  /** Its own settings, `{}` for none: under `strategy.weightingOptions`, where no two weightings use one name. */
  readonly options: O;
};

/** A weighting as it is written down, with its options' types inferred; returns it as it is. */
export const defineWeighting = <const O extends OptionSpecs>(record: Weighting<O>): Weighting<O> => record;

/** What a weighting of an extension must be. */
export const weightingSchema = z
  .looseObject({
    about: z.string().min(1),
    source: z.string(),
    options: optionSpecsSchema,
    shares: functionSchema.optional(),
    factor: functionSchema.optional(),
    scales: functionSchema.optional(),
  })
  .refine(({ shares, factor, scales }) => shares ?? factor ?? scales, 'gives neither shares nor a factor nor scales');
