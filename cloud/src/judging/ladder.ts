import type { Evaluation } from '@ecavg/models';
import { upperMedian } from '../aggregation/median.js';
import type { Ingredient, Ingredients } from './ingredients.js';

/** Times the median length from which on an update is an outlier. */
export const OUTLIER = 3;

/** What measures weights of the model: `layout.total` values each. */
interface Judge {
  evaluate(weights: Float32Array): Promise<Evaluation>;
  /** The same weights with statistics that are taken anew from data. */
  refresh(weights: Float32Array, round: number): Promise<Float32Array>;
}

/** Weights that a mend starts from or has made, and the edges whose updates are not in them. */
export interface Mended {
  readonly weights: Float32Array;
  readonly leftOut: readonly string[];
}

/** What a mend works on. */
export interface Harmful {
  readonly round: number;
  /** The settings' `model.seed`. */
  readonly seed: number;
  /** Settings `guard.suspects`. */
  readonly suspects: number;
  readonly base: Float32Array;
  /** The aggregate, or what a mend before has made of it that others go on from. */
  readonly from: Mended;
  readonly ingredients: Ingredients;
  readonly judge: Judge;
  /** Whether weights of this score are worse than the version in force by more than the tolerance. */
  harms(score: Evaluation): boolean;
}

/** One mend of an aggregate that does harm. */
interface MendRecord<R extends string> {
  /** What an attempt that was made by it is called. */
  readonly rung: R;
  /** Whether the mends after it start from what it made. */
  readonly handsOn: boolean;
  /** Undefined where there is nothing that it could do. */
  mend(harmful: Harmful): Promise<Mended | undefined>;
}

const defineMend = <R extends string>(record: MendRecord<R>): MendRecord<R> => record;

/** Every mend that `guard.ladder` may name, in the order in which they are tried. */
export const LADDER = {
  realign: defineMend({
    rung: 'realigned',
    handsOn: false,
    async mend({ ingredients, judge, seed, round }) {
      const weights = await ingredients.realigned(seed + round);
      return weights && { weights: await judge.refresh(weights, round), leftOut: [] };
    },
  }),
  'leave-out': defineMend({ rung: 'left-out', handsOn: true, mend: withoutWorst }),
  shrink: defineMend({
    rung: 'shrunk',
    handsOn: false,
    async mend({ base, from, judge }) {
      let best: { accuracy: number; weights: Float32Array } | undefined;
      for (const part of [1 / 2, 1 / 4, 1 / 8]) {
        const weights = between(base, from.weights, part);
        const { accuracy, loss } = await judge.evaluate(weights);
        if (Number.isFinite(loss) && (!best || accuracy > best.accuracy)) best = { accuracy, weights };
      }
      return best && { weights: best.weights, leftOut: from.leftOut };
    },
  }),
};

export type MendName = keyof typeof LADDER;
export const MEND_NAMES = Object.keys(LADDER) as [MendName, ...MendName[]];

/** How a candidate was mended. */
export type MendedRung = (typeof LADDER)[MendName]['rung'];
/** How a candidate was made: the aggregate as it is, or mended by one of the ladder's rungs. */
export type Rung = 'aggregate' | MendedRung;

/**
 * Leaves out, one after another, the edge without whom the others do best, until they do no harm or it helps no more;
 * never half of them.
 */
async function withoutWorst(harmful: Harmful): Promise<Mended | undefined> {
  const { ingredients, judge } = harmful;
  const counted = ingredients.edges.filter((e) => e.share > 0);
  const limit = OUTLIER * upperMedian(counted.map((e) => e.norm));
  // One that is far too long drags the aggregate with it, so that its cosine looks good: the longest of these come first.
  const excess = ({ norm }: Ingredient): number => (norm > limit ? norm : 0);
  const suspects = [...counted].sort((a, b) => excess(b) - excess(a) || a.cosine - b.cosine);
  const left = new Set<string>();
  let best: { score: Evaluation; weights: Float32Array } | undefined;
  while (2 * (left.size + 1) < counted.length && !(best && !harmful.harms(best.score))) {
    let found: { edge: string; score: Evaluation; weights: Float32Array } | undefined;
    for (const { edge } of suspects.filter((s) => !left.has(s.edge)).slice(0, harmful.suspects)) {
      const weights = await ingredients.without(new Set([...left, edge]));
      const score = await judge.evaluate(weights);
      if (!found || score.accuracy > found.score.accuracy) found = { edge, score, weights };
    }
    if (!found || (best && found.score.accuracy <= best.score.accuracy)) break;
    left.add(found.edge);
    best = found;
  }
  return best && { leftOut: [...left], weights: best.weights };
}

/** a + t (b - a). */
export const between = (a: Float32Array, b: Float32Array, t: number): Float32Array =>
  a.map((v, i) => v + t * ((b[i] as number) - v));
