import type { Evaluation } from '@ecavg/models';
import type { GuardConfig, Seeded } from './config.js';
import type { Ingredient, Ingredients } from './ingredients.js';
import type { FineTune, ReferenceSet } from './reference.js';

/** How a candidate was made: the aggregate as it is, or mended by one of the ladder's rungs. */
export type Rung = 'aggregate' | 'realigned' | 'left-out' | 'shrunk';

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

/** The figures that a version is published with. */
export function chosenScore({ decision, attempts, previous }: Verdict): Evaluation {
  const last = attempts.at(-1);
  if (decision === 'kept-previous' || !last) return previous;
  return (decision === 'fine-tuned' ? last.fineTuned : last.average) ?? previous;
}

/** Times the median length from which on an update is an outlier. */
const OUTLIER = 3;

/** What a round brought, to be decided on. */
export interface Proposal {
  readonly round: number;
  /** Weights of the version in force, and of the aggregate: `layout.total` values each. */
  readonly base: Float32Array;
  readonly average: Float32Array;
  readonly ingredients: Ingredients;
  readonly fineTune: FineTune;
}

interface Candidate {
  readonly rung: Rung;
  readonly leftOut: readonly string[];
  readonly weights: Float32Array;
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
    const { ladder } = this.config.guard;
    if (ladder.includes('realign')) {
      const weights = await ingredients.realigned(this.config.model.seed + round);
      if (weights) yield { rung: 'realigned', leftOut: [], weights: await this.reference.refresh(weights, round) };
    }
    let [best, leftOut]: [Float32Array, string[]] = [average, []];
    if (ladder.includes('leave-out')) {
      const left = await this.#withoutWorst(ingredients, previous);
      if (left) {
        [best, leftOut] = [left.weights, left.leftOut];
        yield { rung: 'left-out', ...left };
      }
    }
    if (ladder.includes('shrink')) {
      const weights = await this.#shrunk(base, best);
      if (weights) yield { rung: 'shrunk', leftOut, weights };
    }
  }

  /**
   * Leaves out, one after another, the edge without whom the others do best, until they do no harm or it helps no more;
   * never half of them.
   */
  async #withoutWorst(
    ingredients: Ingredients,
    previous: Evaluation,
  ): Promise<{ leftOut: string[]; weights: Float32Array } | undefined> {
    const counted = ingredients.edges.filter((e) => e.share > 0);
    const limit = OUTLIER * upperMedian(counted.map((e) => e.norm));
    // One that is far too long drags the aggregate with it, so that its cosine looks good: the longest of these come first.
    const excess = ({ norm }: Ingredient): number => (norm > limit ? norm : 0);
    const suspects = [...counted].sort((a, b) => excess(b) - excess(a) || a.cosine - b.cosine);
    const left = new Set<string>();
    let best: { score: Evaluation; weights: Float32Array } | undefined;
    while (2 * (left.size + 1) < counted.length && !(best && !this.#harms(best.score, previous))) {
      let found: { edge: string; score: Evaluation; weights: Float32Array } | undefined;
      for (const { edge } of suspects.filter((s) => !left.has(s.edge)).slice(0, this.config.guard.suspects)) {
        const weights = await ingredients.without(new Set([...left, edge]));
        const score = await this.reference.evaluate(weights);
        if (!found || score.accuracy > found.score.accuracy) found = { edge, score, weights };
      }
      if (!found || (best && found.score.accuracy <= best.score.accuracy)) break;
      left.add(found.edge);
      best = found;
    }
    return best && { leftOut: [...left], weights: best.weights };
  }

  async #shrunk(base: Float32Array, far: Float32Array): Promise<Float32Array | undefined> {
    let best: { accuracy: number; weights: Float32Array } | undefined;
    for (const part of [1 / 2, 1 / 4, 1 / 8]) {
      const weights = between(base, far, part);
      const { accuracy, loss } = await this.reference.evaluate(weights);
      if (Number.isFinite(loss) && (!best || accuracy > best.accuracy)) best = { accuracy, weights };
    }
    return best?.weights;
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

const between = (a: Float32Array, b: Float32Array, t: number): Float32Array =>
  a.map((v, i) => v + t * ((b[i] as number) - v));

/** The middle value; of an even number of values the larger one of the two in the middle. */
const upperMedian = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
