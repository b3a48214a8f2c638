import type { Evaluation } from '@ecavg/models';
import { upperMedian } from '../aggregation/median.js';
import type { GuardConfig, Seeded } from './config.js';
import type { Ingredients } from './ingredients.js';
import { between, LADDER, MEND_NAMES, type Mended, OUTLIER, type Rung } from './ladder.js';
import type { FineTune, ReferenceSet } from './reference.js';

/** A candidate and its figures on the guard's samples. */
export interface Attempt {
  readonly rung: Rung;
  /** Edges whose updates are not in it. */
  readonly leftOut: readonly string[];
  readonly average: Evaluation;
  readonly fineTuned: Evaluation | undefined;
}

/** Early warnings of negative transfer, every round. */
export interface Indicators {
  /** Accuracy of the candidate less that of the previous version. */
  readonly overPrevious: number;
  /** Accuracy of the candidate less that of the best edge that was measured; undefined where none was. */
  readonly overBestEdge: number | undefined;
  /** Cosines of the updates with the aggregate, in [-1, 1]. */
  readonly cosineMean: number;
  readonly cosineLeast: number;
  /** Updates longer than three times the median. */
  readonly normOutliers: number;
  /** Loss half way from the previous version to the average, less the mean of both ends' losses: above 0 a barrier lies between them. */
  readonly lossBarrier: number;
}

/** What became of a round's candidates, and the figures that decided it. */
export interface Verdict {
  readonly decision: 'fine-tuned' | 'average' | 'kept-previous';
  /** Weights of the new version; undefined where the previous one is kept. */
  readonly weights: Float32Array | undefined;
  readonly previous: Evaluation;
  /** In the order in which they were tried; the last one was taken, unless the previous version was kept. */
  readonly attempts: readonly [Attempt, ...Attempt[]];
  readonly indicators: Indicators;
}

/** The figures of the last attempt that count, by what was decided. */
const CHOSEN: Readonly<Record<Verdict['decision'], (last: Attempt) => Evaluation | undefined>> = {
  'fine-tuned': (last) => last.fineTuned,
  average: (last) => last.average,
  // Those of the previous version.
  'kept-previous': () => undefined,
};

/** The figures that a version is published with. */
export function chosenScore({ decision, attempts, previous }: Verdict): Evaluation {
  const last = attempts.at(-1);
  return (last && CHOSEN[decision](last)) ?? previous;
}

/** What a round brought, to be decided on. */
export interface Proposal {
  readonly round: number;
  /** Weights of the version in force, and of the aggregate: `layout.total` values each. */
  readonly base: Float32Array;
  readonly average: Float32Array;
  readonly ingredients: Ingredients;
  readonly fineTune: FineTune;
}

interface Candidate extends Mended {
  readonly rung: Rung;
}

/** What has been measured of a proposal so far. */
interface Measured {
  readonly previous: Evaluation;
  readonly attempts: readonly Attempt[];
}

/**
 * Decides on a round's aggregate. It is fine-tuned (transfer learning) and the better of both is taken, unless it is worse than the
 * previous version by more than the tolerance. Then averaging did harm, and a ladder of mends is climbed until one holds: match the
 * edges' hidden units and average again; leave out the worst contributors; go a shorter way from the base; keep the previous version.
 */
export class NegativeTransferGuard {
  constructor(
    private readonly reference: ReferenceSet,
    private readonly config: Seeded & { readonly guard: GuardConfig },
  ) {}

  async decide(proposal: Proposal): Promise<Verdict> {
    const { reference } = this;
    const previous = await reference.evaluate(proposal.base);
    const attempts: Attempt[] = [];
    for await (const { rung, leftOut, weights } of this.#candidates(proposal, previous)) {
      const score = await reference.evaluate(weights);
      const tuned = await proposal.fineTune(weights);
      const fineTuned = tuned && (await reference.evaluate(tuned));
      const useTuned = tuned !== undefined && fineTuned !== undefined && fineTuned.accuracy >= score.accuracy;
      attempts.push({ rung, leftOut, average: score, fineTuned });
      if (this.#harms(useTuned ? fineTuned : score, previous)) continue;
      const made = useTuned
        ? { decision: 'fine-tuned' as const, weights: tuned }
        : { decision: 'average' as const, weights };
      return this.#verdict(made, proposal, { previous, attempts });
    }
    return this.#verdict({ decision: 'kept-previous', weights: undefined }, proposal, { previous, attempts });
  }

  /** The average with the better of two sets of statistics: as they were averaged, or taken anew from data. */
  async #withBetterStatistics({ average, round }: Proposal): Promise<Float32Array> {
    const { reference } = this;
    if (!reference.hasStatistics) return average;
    const fresh = await reference.refresh(average, round);
    const [before, after] = [await reference.evaluate(average), await reference.evaluate(fresh)];
    return after.accuracy > before.accuracy ? fresh : average;
  }

  #harms(score: Evaluation, previous: Evaluation): boolean {
    return !(score.accuracy >= previous.accuracy - this.config.guard.tolerance) || !Number.isFinite(score.loss);
  }

  async *#candidates(proposal: Proposal, previous: Evaluation): AsyncGenerator<Candidate, void> {
    const { base, average, ingredients, round } = proposal;
    yield { rung: 'aggregate', leftOut: [], weights: await this.#withBetterStatistics(proposal) };
    const { ladder, suspects } = this.config.guard;
    const harms = (score: Evaluation): boolean => this.#harms(score, previous);
    const about = { round, seed: this.config.model.seed, suspects, base, ingredients, judge: this.reference, harms };
    let from: Mended = { weights: average, leftOut: [] };
    for (const name of MEND_NAMES.filter((n) => ladder.includes(n))) {
      const { rung, handsOn, mend } = LADDER[name];
      const mended = await mend({ ...about, from });
      if (!mended) continue;
      if (handsOn) from = mended;
      yield { rung, ...mended };
    }
  }

  async #verdict(
    made: Pick<Verdict, 'decision' | 'weights'>,
    { base, average, ingredients }: Proposal,
    { previous, attempts }: Measured,
  ): Promise<Verdict> {
    const [first, ...others] = attempts as [Attempt, ...Attempt[]];
    const candidate = Math.max(first.average.accuracy, first.fineTuned?.accuracy ?? 0);
    const best = await this.#bestEdge(ingredients);
    const middle = await this.reference.evaluate(between(base, average, 0.5));
    const cosines = ingredients.edges.map((e) => e.cosine);
    const norms = ingredients.edges.map((e) => e.norm);
    const limit = OUTLIER * upperMedian(norms);
    const indicators: Indicators = {
      overPrevious: candidate - previous.accuracy,
      overBestEdge: best === undefined ? undefined : candidate - best,
      cosineMean: cosines.reduce((a, c) => a + c, 0) / Math.max(1, cosines.length),
      cosineLeast: Math.min(1, ...cosines),
      normOutliers: norms.filter((n) => n > limit).length,
      lossBarrier: middle.loss - (previous.loss + first.average.loss) / 2,
    };
    return { ...made, previous, attempts: [first, ...others], indicators };
  }

  /** Accuracy of the best of the edges that count most. */
  async #bestEdge(ingredients: Ingredients): Promise<number | undefined> {
    const most = [...ingredients.edges].sort((a, b) => b.share - a.share).slice(0, this.config.guard.measured);
    let best: number | undefined;
    for (const { edge } of most) {
      const { accuracy } = await this.reference.evaluate(await ingredients.modelOf(edge));
      best = Math.max(best ?? 0, accuracy);
    }
    return best;
  }
}
