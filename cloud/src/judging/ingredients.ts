import { type Artifact, matchWeights, permutationGroups } from '@ecavg/models';
import { ArgumentError } from '@ecavg/protocol/errors';
import type { Combined, Update } from '../aggregation/combine.js';
import { sumOverHolders } from '../aggregation/holders.js';

/** One edge's update as it counts in an aggregate. */
export interface Ingredient {
  readonly edge: string;
  /** Coefficient of its difference in the aggregate. */
  readonly share: number;
  /** Euclidean length of its difference. */
  readonly norm: number;
  /** Cosine of its difference with the aggregate's. */
  readonly cosine: number;
}

/** The updates behind an aggregate, so that other aggregates can be made of them. Each is decoded when it is asked for. */
export class Ingredients {
  readonly edges: readonly Ingredient[];

  constructor(
    private readonly base: Artifact,
    private readonly updates: readonly Update[],
    { shares, norms, cosines }: Combined,
    /** Mends weights in place that quantisation made impossible. */
    private readonly mend: (weights: Float32Array) => void,
  ) {
    this.edges = updates.map(({ about }, k) => ({
      edge: about.edge,
      share: shares[k] ?? 0,
      norm: norms[k] ?? 0,
      cosine: cosines[k] ?? 0,
    }));
  }

  /** The model of one edge. */
  async modelOf(edge: string): Promise<Float32Array> {
    const update = this.updates.findLast((u) => u.about.edge === edge);
    if (!update) throw new ArgumentError('ECAVG_AGGREGATE', `no update of ${edge}`);
    return this.#made(1, (sum) => update.addTo(sum, 1));
  }

  /** The aggregate without some edges; the others' shares grow in proportion. */
  async without(left: ReadonlySet<string>): Promise<Float32Array> {
    const all = this.edges.reduce((a, e) => a + e.share, 0);
    const kept = this.edges.filter((e) => !left.has(e.edge));
    const rest = kept.reduce((a, e) => a + e.share, 0);
    if (!(rest > 0)) throw new ArgumentError('ECAVG_AGGREGATE', 'nobody is left to average');
    const shares = this.edges.map((e) => (left.has(e.edge) ? 0 : e.share));
    return this.#made(all / rest, async (sum) => {
      await sumOverHolders(this.updates, shares, sum);
    });
  }

  /**
   * The aggregate of the edges' models with their hidden units matched to those of the edge that counts most (Git Re-Basin).
   * Undefined where there is nothing to match, or some trained a slice only, whose units keep their places.
   */
  async realigned(seed: number): Promise<Float32Array | undefined> {
    const { layout, model, info } = this.base;
    const counted = this.edges.filter((e) => e.share > 0).sort((a, b) => b.share - a.share);
    const [first, ...others] = counted;
    if (!first || others.length === 0 || this.updates.some((u) => u.holds)) return undefined;
    const groups = await permutationGroups(model, info.input.shape.slice(1));
    if (groups.length === 0) return undefined;
    const all = counted.reduce((a, e) => a + e.share, 0);
    const buffers = info.buffers.map((b) => b.name);
    const reference = await this.modelOf(first.edge);
    const sum = reference.map((w) => (w * first.share) / all);
    for (const { edge, share } of others) {
      const { weights } = await matchWeights(layout, groups, reference, await this.modelOf(edge), { buffers, seed });
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + ((weights[i] as number) * share) / all;
    }
    this.mend(sum);
    return sum;
  }

  async #made(scale: number, fill: (sum: Float32Array) => Promise<void>): Promise<Float32Array> {
    const sum = new Float32Array(this.base.layout.total);
    await fill(sum);
    const weights = this.base.weights.map((w, i) => w + scale * (sum[i] as number));
    this.mend(weights);
    return weights;
  }
}
