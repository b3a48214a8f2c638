import { isDeepStrictEqual } from 'node:util';
import { COMBINERS, cloudConfigSchema, SERVER_OPTIMIZERS, WEIGHTINGS } from '@ecavg/cloud';
import { PRESETS } from '@ecavg/protocol';
import { type SimulationOptions, simulate } from './simulate.js';
import { table } from './table.js';

type Strategy = NonNullable<SimulationOptions['strategy']>;

/** The cloud's defaults with some changed. */
function strategy(change: object): Pick<SimulationOptions, 'strategy'> {
  const all = cloudConfigSchema.parse({ dataDir: '-', model: { id: 'bench' }, strategy: change }).strategy;
  return { strategy: all satisfies Strategy };
}

const entries = <T>(table: { readonly entries: readonly [string, T][] }, of: (name: string, record: T) => object) =>
  table.entries.map(([name, record]) => [name, strategy(of(name, record))] as const);

/** Every weighting, combiner and server optimiser of the cloud, each with the defaults of the others; and FedProx, which edges do. */
const STRATEGIES: Readonly<Record<string, Partial<SimulationOptions>>> = {
  ...Object.fromEntries(entries(WEIGHTINGS, (name) => ({ weighting: [name] }))),
  'fedprox 0.01': { ...strategy({}), mu: 0.01 },
  ...Object.fromEntries(
    entries(COMBINERS, (combiner, { trial }) => ({ combiner, ...(trial && { combinerOptions: trial }) })),
  ),
  ...Object.fromEntries(entries(SERVER_OPTIMIZERS, (name, { trial }) => ({ server: { name, ...trial } }))),
};
export const STRATEGY_NAMES = Object.keys(STRATEGIES);

/** Edges of a bench are never late nor refused: factors are all 1. */
const givesOnlyOnes = (name: string): boolean => WEIGHTINGS.has(name) && WEIGHTINGS.get(name).factor !== undefined;
/** What is compared where none is named: everything but what stands there already by another name. */
export const COMPARED = STRATEGY_NAMES.filter(
  (name, i) =>
    !givesOnlyOnes(name) &&
    !STRATEGY_NAMES.slice(0, i).some((before) => isDeepStrictEqual(STRATEGIES[before], STRATEGIES[name])),
);

const SPLITS = [0.1, 0.5, 'iid'] as const;
const TARGET = 0.9;

export interface HeterogeneityRow {
  readonly strategy: string;
  /** Dirichlet concentration of labels over edges, or iid. */
  readonly alpha: number | 'iid';
  /** On the test set after the last round, mean over the seeds, in [0, 1]; and the worst of the last five rounds. */
  readonly accuracy: number;
  readonly worstOfLast: number;
  /** Bytes of all updates until the accuracy was `target`, mean over the seeds; null where a run did not get there. */
  readonly bytesToTarget: number | null;
  readonly target: number;
}

export interface HeterogeneityOptions {
  readonly strategies: readonly string[];
  readonly rounds: number;
  readonly seeds: number;
  readonly json: boolean;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

export async function benchHeterogeneity({ strategies, rounds, seeds, json }: HeterogeneityOptions): Promise<void> {
  const rows: HeterogeneityRow[] = [];
  for (const alpha of SPLITS) {
    for (const name of strategies) {
      process.stderr.write(`${alpha === 'iid' ? 'iid' : `Dirichlet ${alpha}`}, ${name}\n`);
      const runs = [];
      for (let seed = 1; seed <= seeds; seed++)
        runs.push(
          await simulate({
            model: 'mlp',
            edges: 10,
            alpha,
            rounds,
            epochs: [2, 2],
            learningRate: 0.05,
            seed,
            codec: { name: 'range', options: PRESETS.balanced },
            ...STRATEGIES[name],
          }),
        );
      const reached = runs.map((r) => r.bytes[r.accuracy.findIndex((a) => a >= TARGET)]);
      rows.push({
        strategy: name,
        alpha,
        accuracy: mean(runs.map((r) => r.accuracy.at(-1) ?? 0)),
        worstOfLast: mean(runs.map((r) => Math.min(...r.accuracy.slice(-5)))),
        bytesToTarget: reached.every((b) => b !== undefined) ? mean(reached as number[]) : null,
        target: TARGET,
      });
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  else
    table(
      ['labels', 'strategy', 'accuracy %', 'worst of last 5', `kB to ${100 * TARGET} %`],
      rows.map((r) => [
        String(r.alpha),
        r.strategy,
        (100 * r.accuracy).toFixed(2),
        (100 * r.worstOfLast).toFixed(2),
        r.bytesToTarget === null ? '-' : (r.bytesToTarget / 1000).toFixed(0),
      ]),
    );
}
