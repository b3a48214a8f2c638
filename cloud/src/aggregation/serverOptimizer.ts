import {
  functionSchema,
  mergedOptions,
  type OptionSpecs,
  type OptionValues,
  optionSpecsSchema,
  RecordTable,
} from '@ecavg/runtime';
import { z } from 'zod';

/** Moments of the server's optimiser; `layout.total` values each, absent before the first step. */
export interface ServerState {
  readonly m?: Float32Array;
  readonly v?: Float32Array;
}

/** What the cloud does with the aggregated difference D: w' = w + step(D). */
export interface ServerOptimizer<O extends OptionSpecs = OptionSpecs> {
  /** The formula of w', for docs. */
  readonly about: string;
  /** Where it comes from. */
  readonly source: string;
  /** Its own settings, `{}` for none: under `strategy.server`, where optimisers may share one. */
  readonly options: O;
  /** Changed options of its own to compare it with in `npm run bench -- heterogeneity`. */
  readonly trial?: Partial<OptionValues<O>>;
  /**
   * Changes `weights` in place.
   * @param weights w, as long as `difference`.
   * @returns the state for the next step; the one that is passed in is not changed.
   */
  step(weights: Float32Array, difference: Float32Array, options: OptionValues<O>, state: ServerState): ServerState;
}

const define = <const O extends OptionSpecs>(record: ServerOptimizer<O>): ServerOptimizer<O> => record;

const learningRate = { about: 'Learning rate of the server.', default: 1, above: 0 };
const momentum = { about: 'Momentum of the server.', default: 0.9, least: 0, below: 1 };
const moments = {
  learningRate,
  beta1: { about: 'Decay of the first moment.', default: 0.9, least: 0, below: 1 },
  beta2: { about: 'Decay of the second moment.', default: 0.99, least: 0, below: 1 },
  tau: { about: 'Degree of adaptivity: what the root is kept away from.', default: 1e-3, above: 0 },
};

function add(weights: Float32Array, difference: Float32Array, rate: number): ServerState {
  for (let i = 0; i < weights.length; i++) weights[i] = (weights[i] as number) + rate * (difference[i] as number);
  return {};
}

/** Algorithm 2 of Reddi et al. 2021: m = b1 m + (1 - b1) D, v by `second`, w + eta m / (sqrt(v) + tau). v starts at tau^2. */
function adaptive(
  weights: Float32Array,
  difference: Float32Array,
  { learningRate: eta, beta1, beta2, tau }: OptionValues<typeof moments>,
  state: ServerState,
  /** The second moment from the one before, D^2 and b2. */
  second: (old: number, square: number, beta2: number) => number,
): ServerState {
  const m = state.m?.slice() ?? new Float32Array(weights.length);
  const v = state.v?.slice() ?? new Float32Array(weights.length).fill(tau * tau);
  for (let i = 0; i < weights.length; i++) {
    const d = difference[i] as number;
    m[i] = beta1 * (m[i] as number) + (1 - beta1) * d;
    v[i] = second(v[i] as number, d * d, beta2);
    weights[i] = (weights[i] as number) + (eta * (m[i] as number)) / (Math.sqrt(v[i] as number) + tau);
  }
  return { m, v };
}

/** The server optimisers of this release. One more is a record here, and nothing else. */
const BUILT_IN = {
  none: define({
    about: 'w + D',
    source: 'FedAvg',
    options: {},
    step: (weights, difference) => add(weights, difference, 1),
  }),

  fedavgm: define({
    about: 'm = mu m + D, w + eta m; mu = `momentum`, eta = `learningRate`',
    source: 'Hsu et al. 2019, arXiv:1909.06335',
    options: { learningRate, momentum },
    trial: { momentum: 0.5 },
    step(weights, difference, { learningRate: eta, momentum: mu }, state) {
      const m = state.m?.slice() ?? new Float32Array(weights.length);
      for (let i = 0; i < weights.length; i++) {
        m[i] = mu * (m[i] as number) + (difference[i] as number);
        weights[i] = (weights[i] as number) + eta * (m[i] as number);
      }
      return { m };
    },
  }),

  fedadam: define({
    about: 'm = b1 m + (1 - b1) D, v = b2 v + (1 - b2) D^2, w + eta m / (sqrt(v) + tau)',
    source: 'Reddi et al. 2021, arXiv:2003.00295, Algorithm 2',
    options: moments,
    trial: { learningRate: 0.01 },
    step: (weights, difference, options, state) =>
      adaptive(weights, difference, options, state, (old, square, beta2) => beta2 * old + (1 - beta2) * square),
  }),

  fedyogi: define({
    about: 'as `fedadam`, with v = v - (1 - b2) D^2 sign(v - D^2)',
    source: 'Reddi et al. 2021, arXiv:2003.00295, Algorithm 2',
    options: moments,
    trial: { learningRate: 0.01 },
    step: (weights, difference, options, state) =>
      adaptive(
        weights,
        difference,
        options,
        state,
        (old, square, beta2) => old - (1 - beta2) * square * Math.sign(old - square),
      ),
  }),

  reptile: define({
    about: 'w + eta D',
    source: 'Nichol et al. 2018, arXiv:1803.02999',
    options: { learningRate },
    trial: { learningRate: 0.5 },
    step: (weights, difference, { learningRate: eta }) => add(weights, difference, eta),
  }),
} as const satisfies Readonly<Record<string, ServerOptimizer>>;

/** Every server optimiser that settings may name. */
export const SERVER_OPTIMIZERS = new RecordTable<ServerOptimizer, keyof typeof BUILT_IN>(
  'server optimiser',
  BUILT_IN,
  z.looseObject({ about: z.string(), source: z.string(), options: optionSpecsSchema, step: functionSchema }),
);

/** The options of all server optimisers together. */
export const SERVER_OPTIONS = mergedOptions(BUILT_IN);

/** Settings `strategy.server`. */
export type ServerOptions = OptionValues<typeof SERVER_OPTIONS> & { readonly name: string };

/** A stretch of the flat weights that takes the plain difference: running statistics are no parameters. */
export type Plain = readonly (readonly [start: number, end: number])[];

/**
 * One step of the server.
 * @param weights w, as long as `difference` D.
 * @returns new weights, and the state for the next step. Nothing that is passed in is changed.
 * @throws ConfigError for an optimiser that is not there.
 */
export function serverStep(
  weights: Float32Array,
  difference: Float32Array,
  options: ServerOptions,
  state: ServerState,
  plain: Plain = [],
): { weights: Float32Array; state: ServerState } {
  const next = weights.slice();
  const after = SERVER_OPTIMIZERS.get(options.name).step(next, difference, options, state);
  for (const [start, end] of plain) {
    for (let i = start; i < end; i++) next[i] = (weights[i] as number) + (difference[i] as number);
  }
  return { weights: next, state: after };
}
