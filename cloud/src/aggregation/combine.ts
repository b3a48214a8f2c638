import { type Gram, gramMatrix, norm, scaledGram } from './gram.js';
import { divideByHolders, type Part, sumOverHolders } from './holders.js';
import { clipFactors, coordinateMedian, fltrust, geometricMedian, multiKrum, trimmedMean } from './robust.js';
import { withBlocks } from './rows.js';
import { Sketch } from './sketch.js';
import { type Contribution, type Weighted, type Weighting, type WeightingOptions, weigh } from './weighting.js';

export const COMBINERS = ['mean', 'median', 'trimmed-mean', 'multi-krum', 'geometric-median', 'fltrust'] as const;
export type CombinerName = (typeof COMBINERS)[number];

export interface StrategyOptions {
  readonly weighting: readonly Weighting[];
  readonly weightingOptions?: WeightingOptions;
  readonly combiner: CombinerName;
  /** Share of values cut off at each end by the trimmed mean. */
  readonly trim: number;
  /** Edges that may be hostile, for multi-Krum. */
  readonly hostile: number;
  /** Updates longer than this many times the median length are shortened; 0 never. */
  readonly clip: number;
}

/** Updates without which the combiner can't work: a round waits for them. */
export function leastUpdates({ combiner, hostile }: Pick<StrategyOptions, 'combiner' | 'hostile'>): number {
  return combiner === 'multi-krum' ? 2 * hostile + 3 : 1;
}

/** An accepted update as the strategies see it. */
export interface Update extends Part {
  readonly about: Contribution;
}

export interface Combined {
  /** `length` values. */
  readonly difference: Float32Array;
  /** What each update counted for, in the order given: coefficients of a weighted sum, or 1 / n of coordinate-wise combiners. */
  readonly shares: readonly number[];
  /** Euclidean length of each update, before clipping. */
  readonly norms: readonly number[];
  /** Cosine of each update with the difference, estimated (see Sketch). */
  readonly cosines: readonly number[];
  /** Updates that were shortened. */
  readonly clipped: number;
}

interface Work {
  readonly updates: readonly Update[];
  readonly length: number;
  readonly options: StrategyOptions;
  readonly folder: string;
  readonly weighted: Weighted;
}

/**
 * Combines updates into one difference by weighting, norm clipping and combiner. `mean` decodes one update at a time,
 * so that its memory does not grow with their number; the others look at several side by side, from disk where they are large.
 * @param own the cloud's own difference from the same base, for `fltrust`.
 * @throws RangeError where a combiner can't work with so few updates, or `fltrust` has no own difference.
 */
export async function combine(
  updates: readonly Update[],
  length: number,
  options: StrategyOptions,
  folder: string,
  own?: Float32Array,
): Promise<Combined> {
  const weighted = weigh(
    updates.map((u) => u.about),
    options.weighting,
    options.weightingOptions,
  );
  const work = { updates, length, options, folder, weighted };
  if (options.combiner === 'mean') return meanOf(work);
  if (options.combiner === 'fltrust' && !own)
    throw new RangeError('combiner fltrust needs the cloud’s own difference: set fineTune.epochs above 0');
  return robust(work, own);
}

/** sum += weight values; returns the Euclidean length of the values. */
function addScaled(sum: Float32Array, values: Float32Array, weight: number): number {
  let square = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    square += v * v;
    sum[i] = (sum[i] as number) + weight * v;
  }
  return Math.sqrt(square);
}

/** weight_k scale_k clip_k for each update. */
const coefficients = ({ weights, scales }: Weighted, clips: readonly number[]): number[] =>
  weights.map((w, k) => w * (scales[k] as number) * (clips[k] as number));

async function meanOf({ updates, length, options, weighted }: Work): Promise<Combined> {
  const scratch = new Float32Array(length);
  const sketch = new Sketch(length, updates.length);
  const norms: number[] = [];
  const whole = coefficients(
    weighted,
    updates.map(() => 1),
  );
  let difference: Float32Array = new Float32Array(length);
  // One pass does for most rounds: what it adds is the sum, unless an update turns out to be too long.
  for (const [k, update] of updates.entries()) {
    scratch.fill(0);
    await update.addTo(scratch, 1);
    sketch.take(k, 0, scratch);
    norms.push(addScaled(difference, scratch, whole[k] as number));
  }
  const clips = options.clip > 0 ? clipFactors(diagonal(norms), options.clip) : norms.map(() => 1);
  const shares = coefficients(weighted, clips);
  // Taking the excess of a very long update back would leave its rounding errors: then everything is summed again.
  if (clips.some((c) => c < 1)) difference = await sumOverHolders(updates, shares, scratch.fill(0));
  else divideByHolders(updates, shares, difference);
  return { difference, shares, norms, cosines: sketch.cosines(difference), clipped: count(clips) };
}

const diagonal = (norms: readonly number[]): Gram =>
  norms.map((n, i) => Float64Array.from(norms, (_, j) => (i === j ? n * n : 0)));
const count = (clips: readonly number[]): number => clips.filter((c) => c < 1).length;

async function robust({ updates, length, options, folder, weighted }: Work, own?: Float32Array): Promise<Combined> {
  return withBlocks(updates, length, folder, async (blocks) => {
    const trusted = options.combiner === 'fltrust' && own;
    const sketch = new Sketch(length, updates.length);
    let gram: Gram = [];
    for await (const { from, rows } of blocks()) {
      for (const [k, row] of rows.entries()) sketch.take(k, from, row);
      const all = trusted ? [...rows, own.subarray(from, from + (rows[0]?.length ?? 0))] : rows;
      gram = plus(gram, gramMatrix(all));
    }
    const norms = updates.map((_, k) => norm(gram, k));
    const clips = options.clip > 0 ? clipFactors(gram.slice(0, updates.length), options.clip) : norms.map(() => 1);
    const factors = updates.map((_, k) => (weighted.scales[k] as number) * (clips[k] as number));
    const figures = { norms, clipped: count(clips) };
    const { combiner } = options;
    if (combiner === 'median' || combiner === 'trimmed-mean') {
      const difference = new Float32Array(length);
      for await (const { from, rows } of blocks()) {
        const scaled = rows.map((row, k) => row.map((v) => v * (factors[k] as number)));
        const out = difference.subarray(from, from + (rows[0]?.length ?? 0));
        if (combiner === 'median') coordinateMedian(scaled, out);
        else trimmedMean(scaled, options.trim, out);
      }
      const shares = updates.map(() => 1 / updates.length);
      return { difference, shares, cosines: sketch.cosines(difference), ...figures };
    }
    const scaled = scaledGram(gram, trusted ? [...factors, 1] : factors);
    const chosen =
      combiner === 'multi-krum'
        ? multiKrum(scaled, options.hostile)
        : combiner === 'fltrust'
          ? fltrust(scaled)
          : geometricMedian(scaled, weighted.weights);
    const shares = chosen.map((c, k) => c * (factors[k] as number));
    const difference = await sumOverHolders(updates, shares, new Float32Array(length));
    return { difference, shares, cosines: sketch.cosines(difference), ...figures };
  });
}

function plus(a: Gram, b: Gram): Gram {
  return a.length === 0 ? b : a.map((row, i) => row.map((v, j) => v + (b[i]?.[j] as number)));
}
