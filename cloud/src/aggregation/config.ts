import { optionFields, optionsSchema } from '@ecavg/runtime';
import { z } from 'zod';
import { chosenCombiner } from './chosen.js';
import { BUILT_IN_OPTIONS, COMBINERS, combinerOptions } from './combiners.js';
import { SERVER_OPTIMIZERS, SERVER_OPTIONS } from './serverOptimizer.js';
import { WEIGHTINGS, weightingOptions } from './weightings.js';

const strategyFields = z.strictObject({
  weighting: z.array(WEIGHTINGS.schema).default(['samples']),
  /** Options of the weightings, by their names. */
  weightingOptions: optionsSchema(weightingOptions).prefault({}),
  combiner: COMBINERS.schema.default('mean'),
  /** Options of combiners, by their names. */
  combinerOptions: optionsSchema(combinerOptions, 'unset').prefault({}),
  /** Options of this release's combiners may also stand here. */
  ...optionFields(BUILT_IN_OPTIONS),
  /** An update longer than this many times the median length is shortened to it; 0 never. */
  clip: z.number().min(0).default(3),
  server: z
    .strictObject({ name: SERVER_OPTIMIZERS.schema.default('none'), ...optionFields(SERVER_OPTIONS) })
    .prefault({}),
});

/** `strategy`: how updates become one, as weighting x combiner x server optimiser (docs/strategies.md). */
export const strategySchema = strategyFields
  .superRefine((strategy, context) => {
    if (!COMBINERS.has(strategy.combiner)) return;
    try {
      chosenCombiner(strategy);
    } catch (error) {
      context.addIssue({ code: 'custom', path: ['combinerOptions'], message: (error as Error).message });
    }
  })
  .prefault({});
export type StrategyConfig = z.output<typeof strategySchema>;
