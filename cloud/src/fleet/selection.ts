import { Random } from '@ecavg/models';
import { RecordTable } from '@ecavg/runtime';
import { z } from 'zod';
import { upperMedian } from '../aggregation/median.js';

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

/** What a policy chooses from. */
export interface Choice {
  /** Edges that are online, in an order that is drawn anew each round: to take the first ones is to choose at random. */
  readonly edges: readonly string[];
  /** How many are asked; fewer than there are edges. */
  readonly asked: number;
  readonly round: number;
  /** For draws of its own; the same every time that the round is opened. */
  readonly random: Random;
  /** What earlier rounds told of an edge. */
  record(edge: string): EdgeRecord;
}

/** Who is asked to train in a round. */
export type SelectionPolicy = {
  /** One sentence, for docs. */
  readonly about: string;
  /** Where it comes from. */
  readonly source: string;
} & (
  | {
      /** Everybody is asked, whatever `count` says. */
      readonly everybody: true;
    }
  | {
      readonly everybody: false;
      /** At least `asked` different edges, the first of which are asked. */
      choose(choice: Choice): readonly string[];
    }
);

/** The selection policies of this release. One more is a record here, and nothing else. */
const BUILT_IN = {
  all: { about: 'everybody online', source: '', everybody: true },

  random: { about: 'each edge alike', source: '', everybody: false, choose: ({ edges }) => edges },

  availability: {
    about: 'each edge the likelier, the more of its rounds it answered',
    source: 'drawn as in Efraimidis and Spirakis 2006',
    everybody: false,
    choose({ edges, random, record }) {
      // Without replacement, each draw in proportion to its weight: the largest of u^(1 / weight).
      const keys = new Map(edges.map((e) => [e, Math.log(1 - random.uniform()) / availability(record(e))]));
      return [...edges].sort((a, b) => (keys.get(b) as number) - (keys.get(a) as number));
    },
  },

  usefulness: {
    about:
      'samples times training loss, less for slow edges, more for those not heard of lately; a fifth of the places goes to edges not known yet',
    source: 'Oort: Lai et al. 2021, OSDI, section 4.2',
    everybody: false,
    choose({ edges, asked, round, record }) {
      const known = edges.filter((e) => record(e).answered > 0);
      const unknown = edges.filter((e) => record(e).answered === 0);
      const preferred = upperMedian(known.map((e) => record(e).seconds ?? 0));
      const utility = new Map(known.map((e) => [e, usefulness(record(e), round, preferred)]));
      known.sort((a, b) => (utility.get(b) as number) - (utility.get(a) as number));
      const explored = Math.min(unknown.length, Math.max(Math.ceil(EXPLORE * asked), asked - known.length));
      return [...unknown.slice(0, explored), ...known];
    },
  },
} as const satisfies Readonly<Record<string, SelectionPolicy>>;

/** Every selection policy that settings may name. */
export const SELECTIONS = new RecordTable<SelectionPolicy, keyof typeof BUILT_IN>(
  'selection policy',
  BUILT_IN,
  z.looseObject({ about: z.string(), source: z.string(), everybody: z.boolean() }),
);

/** Settings `selection`. */
export interface SelectionOptions {
  /** A name of SELECTIONS. */
  readonly policy: string;
  /** Updates that a round wants; 0: one of every edge that is online. */
  readonly count: number;
  /** Edges that are asked, as a multiple of the updates that are wanted. */
  readonly overSelect: number;
}

/** How many updates a round wants, and how many edges it asks for them: more, where some are expected to fail. */
export function wantedCount(
  online: number,
  { count, overSelect, policy }: SelectionOptions,
): { wanted: number; asked: number } {
  if (SELECTIONS.get(policy).everybody || count === 0) return { wanted: online, asked: online };
  const wanted = Math.min(online, count);
  return { wanted, asked: Math.min(online, Math.ceil(wanted * overSelect)) };
}

/**
 * The edges that are asked to train, in the order of their names.
 * @throws ConfigError for a policy that is not there.
 */
export function selectEdges(
  online: readonly string[],
  records: ReadonlyMap<string, EdgeRecord>,
  options: SelectionOptions,
  round: number,
  seed: number,
): string[] {
  const policy = SELECTIONS.get(options.policy);
  const { asked } = wantedCount(online.length, options);
  if (policy.everybody || asked >= online.length) return [...online].sort();
  const random = new Random(seed, `selection/${round}`);
  const record = (edge: string): EdgeRecord => records.get(edge) ?? NEW;
  const edges = [...random.shuffle(Int32Array.from(online, (_, i) => i))].map((i) => online[i] as string);
  return policy.choose({ edges, asked, round, random, record }).slice(0, asked).sort();
}
