import { ConfigError, type OptionValues, optionDefaults } from '@ecavg/runtime';
import type { Combiner } from './combiner.js';
import { BUILT_IN_OPTIONS, COMBINERS } from './combiners.js';

/** The part of the settings `strategy` that is about the combiner. */
export interface CombinerSettings extends Partial<OptionValues<typeof BUILT_IN_OPTIONS>> {
  /** A name of COMBINERS. */
  readonly combiner: string;
  /** What is set of combiners' options. Those of this release's combiners may also stand beside `combiner`. */
  readonly combinerOptions?: Partial<OptionValues>;
}

/** A combiner that settings name, with its options. */
export interface Chosen {
  readonly name: string;
  readonly record: Combiner;
  readonly options: OptionValues;
  /** Updates without which it can't work: a round waits for them. */
  readonly least: number;
}

/** @throws ConfigError for an unknown combiner, or one that makes no sense of its options. */
export function chosenCombiner(settings: CombinerSettings): Chosen {
  const { combiner: name, combinerOptions } = settings;
  const record = COMBINERS.get(name);
  const beside = Object.entries(settings).filter(([option]) => Object.hasOwn(BUILT_IN_OPTIONS, option));
  const set = [...beside, ...Object.entries(combinerOptions ?? {})].filter(
    ([option, value]) => Object.hasOwn(record.options, option) && value !== undefined,
  );
  const options = { ...optionDefaults(record.options), ...Object.fromEntries(set) } as OptionValues;
  const least = record.least(options);
  if (!Number.isInteger(least) || least < 1)
    throw new ConfigError(
      'ECAVG_EXTENSION_SHAPE',
      `combiner ${name} says that it needs ${least} updates; that is no whole number above 0`,
    );
  return { name, record, options, least };
}

/** Updates without which the combiner can't work: a round waits for them. */
export const leastUpdates = (settings: CombinerSettings): number => chosenCombiner(settings).least;

/** Whether the combiner compares with the cloud's own difference. */
export const wantsOwnDifference = (settings: CombinerSettings): boolean => {
  const { record } = chosenCombiner(settings);
  return record.kind === 'weighted-sum' && record.ownDifference;
};

/** Whether a combiner takes updates that cover a part of the coordinates. */
export const takesSlices = (combiner: string): boolean => COMBINERS.get(combiner).kind === 'streaming';
