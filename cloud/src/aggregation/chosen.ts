import { ConfigError, type OptionValues, optionsSchema } from '@ecavg/runtime';
import type { Combiner } from './combiner.js';
import { BUILT_IN_COMBINERS, type COMBINER_OPTIONS, COMBINERS } from './combiners.js';

/** The part of the settings `strategy` that is about the combiner. */
export interface CombinerSettings extends Partial<OptionValues<typeof COMBINER_OPTIONS>> {
  /** A name of COMBINERS. */
  readonly combiner: string;
  /** What is set of its own options. Those of this release's combiners may also stand beside the name. */
  readonly combinerOptions?: Readonly<Record<string, unknown>>;
}

/** A combiner that settings name, with its options. */
export interface Chosen {
  readonly name: string;
  readonly record: Combiner;
  readonly options: OptionValues;
  /** Updates without which it can't work: a round waits for them. */
  readonly least: number;
}

/** @throws ConfigError for an unknown combiner or option, a value out of its bounds, or a record that makes no sense of them. */
export function chosenCombiner(settings: CombinerSettings): Chosen {
  const { combiner: name, combinerOptions } = settings;
  const record = COMBINERS.get(name);
  const beside = Object.hasOwn(BUILT_IN_COMBINERS, name)
    ? Object.entries(settings).filter(([option]) => Object.hasOwn(record.options, option))
    : [];
  const result = optionsSchema(() => record.options).safeParse({ ...Object.fromEntries(beside), ...combinerOptions });
  if (!result.success) {
    const [issue] = result.error.issues;
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : '';
    const has = Object.keys(record.options).join(', ') || 'none';
    throw new ConfigError(
      unknown
        ? `combiner ${name} has no option ${unknown}; it has ${has}`
        : `option ${issue?.path.join('.')} of combiner ${name}: ${issue?.message}`,
    );
  }
  const options = result.data;
  const least = record.least(options);
  if (!Number.isInteger(least) || least < 1)
    throw new ConfigError(`combiner ${name} says that it needs ${least} updates; that is no whole number above 0`);
  return { name, record, options, least };
}

/** Updates without which the combiner can't work: a round waits for them. */
export const leastUpdates = (settings: CombinerSettings): number => chosenCombiner(settings).least;

/** Whether the combiner compares with the cloud's own difference. */
export const wantsOwnDifference = (settings: CombinerSettings): boolean => {
  const { record } = chosenCombiner(settings);
  return record.kind === 'weighted-sum' && record.ownDifference;
};

/** Whether the combiner takes updates that cover a part of the coordinates. */
export const takesSlices = (combiner: string): boolean => COMBINERS.get(combiner).kind === 'streaming';
