import { Random } from '@ecavg/models';

/** Who is asked to train in a round. */
export const SELECTIONS = ['all', 'random', 'availability', 'usefulness'] as const;
export type SelectionName = (typeof SELECTIONS)[number];

/** How a round's edges are chosen; the settings' section `selection`. */
export interface SelectionOptions {
  readonly policy: SelectionName;
  /** Updates that a round wants; 0: one of every edge that is online. */
  readonly count: number;
  /** So many times as many edges are asked; at least 1. */
  readonly overSelect: number;
}

/** What earlier rounds told of an edge. */
export interface EdgeRecord {
  /** Rounds that it was asked to train in, and updates that came in time. */
  readonly asked: number;
  readonly answered: number;
  /** Of its last update: samples, mean training loss, seconds of training; absent before the first. */
  readonly samples?: number | undefined;
  readonly loss?: number | undefined;
  readonly seconds?: number | undefined;
  readonly lastRound?: number | undefined;
}

const NEW: EdgeRecord = { asked: 0, answered: 0 };
/** Exponent of the penalty for edges slower than the others (Oort's alpha). */
const SLOW = 2;
/** Share of the places that go to edges that have not answered yet. */
const EXPLORE = 0.2;

/** Share of the rounds in which an edge answered, with one of each added (Laplace). */
export const availability = ({ asked, answered }: EdgeRecord): number => (answered + 1) / (asked + 2);

/**
 * Oort's utility of an edge (Lai et al. 2021, OSDI, section 4.2): |B| sqrt(mean loss^2) times (T / t)^2 where it needs longer than T, here the median of
 * the times. The root mean square of the losses is taken to be their mean, which is what an edge reports. It grows with the rounds since its last
 * answer, so that nobody is forgotten: Oort adds sqrt(0.1 ln R / L) of round R and last round L; here it is a factor, as losses have no fixed scale.
 */
export function usefulness(record: EdgeRecord, round: number, preferredSeconds: number): number {
  const { samples = 0, loss = 0, seconds = 0, lastRound = 0 } = record;
  const slow = seconds > preferredSeconds && seconds > 0 ? (preferredSeconds / seconds) ** SLOW : 1;
  const stale = 1 + Math.sqrt((0.1 * Math.log(Math.max(1, round))) / Math.max(1, lastRound));
  return samples * Math.max(0, loss) * slow * stale;
}

/** How many updates a round wants, and how many edges it asks for them: more, where some are expected to fail. */
export function wantedCount(
  online: number,
  { count, overSelect, policy }: SelectionOptions,
): { wanted: number; asked: number } {
  if (policy === 'all' || count === 0) return { wanted: online, asked: online };
  const wanted = Math.min(online, count);
  return { wanted, asked: Math.min(online, Math.ceil(wanted * overSelect)) };
}

/**
 * The edges that are asked to train, in the order of their names.
 * - all: everybody online. - random: each alike.
 * - availability: the likelier, the more of its rounds an edge answered.
 * - usefulness: those of the greatest utility, and with a fifth of the places ones not known yet.
 */
export function selectEdges(
  online: readonly string[],
  records: ReadonlyMap<string, EdgeRecord>,
  options: SelectionOptions,
  round: number,
  seed: number,
): string[] {
  const { asked } = wantedCount(online.length, options);
  if (asked >= online.length) return [...online].sort();
  const random = new Random(seed, `selection/${round}`);
  const of = (edge: string): EdgeRecord => records.get(edge) ?? NEW;
  const shuffled = [...random.shuffle(Int32Array.from(online, (_, i) => i))].map((i) => online[i] as string);
  if (options.policy === 'availability') {
    // Without replacement, each draw in proportion to its weight: the largest of u^(1 / weight) (Efraimidis and Spirakis 2006).
    const keys = new Map(shuffled.map((e) => [e, Math.log(1 - random.uniform()) / availability(of(e))]));
    shuffled.sort((a, b) => (keys.get(b) as number) - (keys.get(a) as number));
    return shuffled.slice(0, asked).sort();
  }
  if (options.policy === 'usefulness') {
    const known = shuffled.filter((e) => of(e).answered > 0);
    const unknown = shuffled.filter((e) => of(e).answered === 0);
    const times = known.map((e) => of(e).seconds ?? 0).sort((a, b) => a - b);
    const preferred = times[times.length >> 1] ?? 0;
    const utility = new Map(known.map((e) => [e, usefulness(of(e), round, preferred)]));
    known.sort((a, b) => (utility.get(b) as number) - (utility.get(a) as number));
    const explored = Math.min(unknown.length, Math.max(Math.ceil(EXPLORE * asked), asked - known.length));
    return [...unknown.slice(0, explored), ...known].slice(0, asked).sort();
  }
  return shuffled.slice(0, asked).sort();
}
