import { z } from 'zod';
import { COMBINERS } from './combine.js';
import { SERVER_OPTIMIZERS } from './serverOptimizer.js';
import { WEIGHTING_DEFAULTS, WEIGHTINGS } from './weighting.js';

/** `strategy`: how updates become one, as weighting x combiner x server optimiser (docs/strategies.md). */
export const strategySchema = z
  .strictObject({
    weighting: z.array(z.enum(WEIGHTINGS)).default(['samples']),
    weightingOptions: z
      .strictObject({
        discrepancyScale: z.number().min(0).default(WEIGHTING_DEFAULTS.discrepancyScale),
        discrepancyShift: z.number().min(0).default(WEIGHTING_DEFAULTS.discrepancyShift),
        polynomialExponent: z.number().min(0).default(WEIGHTING_DEFAULTS.polynomialExponent),
        hingeSlope: z.number().min(0).default(WEIGHTING_DEFAULTS.hingeSlope),
        hingeThreshold: z.number().min(0).default(WEIGHTING_DEFAULTS.hingeThreshold),
      })
      .prefault({}),
    combiner: z.enum(COMBINERS).default('mean'),
    /** Share of the smallest and of the largest values that the trimmed mean leaves out. */
    trim: z.number().min(0).lt(0.5).default(0.2),
    /** Edges that may be hostile: what multi-Krum guards against. It needs 2 f + 3 updates. */
    hostile: z.int().min(0).default(1),
    /** An update longer than this many times the median length is shortened to it; 0 never. */
    clip: z.number().min(0).default(3),
    server: z
      .strictObject({
        name: z.enum(SERVER_OPTIMIZERS).default('none'),
        learningRate: z.number().gt(0).default(1),
        momentum: z.number().min(0).lt(1).default(0.9),
        beta1: z.number().min(0).lt(1).default(0.9),
        beta2: z.number().min(0).lt(1).default(0.99),
        tau: z.number().gt(0).default(1e-3),
      })
      .prefault({}),
  })
  .prefault({});
export type StrategyConfig = z.output<typeof strategySchema>;
