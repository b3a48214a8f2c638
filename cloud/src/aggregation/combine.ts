// Room aggregation: how updates become one difference, by records of weightings, combiners and server optimisers.
// May import the packages only.
import { ArgumentError } from '@ecavg/protocol/errors';
import type { OptionValues } from '@ecavg/runtime';
import { type Chosen, type CombinerSettings, chosenCombiner } from './chosen.js';
import type { Combiner, CoordinateCombiner, Given, StreamingCombiner, WeightedSumCombiner } from './combiner.js';
import { type Gram, geometry, gramMatrix, norm, scaledGram } from './gram.js';
import { type DecodedUpdate, divideByHolders, sumOverHolders } from './holders.js';
import { clipFactors } from './robust.js';
import { type Block, withBlocks } from './rows.js';
import { Sketch } from './sketch.js';
import { type Weighted, weigh } from './weigh.js';
import type { Contribution } from './weighting.js';

/** Settings `strategy`, without the server's optimiser. */
export interface StrategyOptions extends CombinerSettings {
  /** Names of WEIGHTINGS. */
  readonly weighting: readonly string[];
  readonly weightingOptions?: OptionValues;
  /** Updates longer than this many times the median length are shortened; 0 never. */
  readonly clip: number;
}

/** A combiner that has fewer updates than it needs. */
export class TooFewUpdatesError extends ArgumentError {
  override readonly name = 'TooFewUpdatesError';
  constructor(
    readonly combiner: string,
    readonly needed: number,
    readonly given: number,
  ) {
    super('ECAVG_AGGREGATE', `combiner ${combiner} needs ${needed} updates; there are ${given}`);
  }
}

/** An accepted update as the strategies see it. */
export interface Update extends DecodedUpdate {
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

/** What is combined, and where. */
export interface Combining {
  readonly updates: readonly Update[];
  /** Values of the difference. */
  readonly length: number;
  readonly weighted: Weighted;
  /** Updates longer than this many times the median length are shortened; 0 never. */
  readonly clip: number;
  /** Where large updates are spooled; the folder must exist. */
  readonly folder: string;
  /** The cloud's own difference from the same base, for combiners that want it. */
  readonly own?: Float32Array | undefined;
}

interface Work<C extends Combiner = Combiner> extends Combining {
  readonly name: string;
  readonly record: C;
  readonly given: Given;
}

/** How the work of each kind of combiner goes. */
const WAYS: { readonly [K in Combiner['kind']]: (work: Work<Extract<Combiner, { kind: K }>>) => Promise<Combined> } = {
  streaming,
  'weighted-sum': weightedSum,
  coordinates,
};

/**
 * Combines updates into one difference by weighting, norm clipping and combiner. A streaming combiner sees one decoded update at a time,
 * so that memory does not grow with their number; the others look at several side by side, from disk where they are large.
 * @param length values of the difference.
 * @param folder where large updates are spooled; it must exist.
 * @param own the cloud's own difference from the same base, for combiners that want it.
 * @throws TooFewUpdatesError where the combiner can't work with so few updates; ArgumentError where it wants the cloud's own difference and there is
 * none, or gives another number of coefficients than there are updates; ConfigError for names that are not there.
 */
export async function combine(
  updates: readonly Update[],
  length: number,
  options: StrategyOptions,
  folder: string,
  own?: Float32Array,
): Promise<Combined> {
  const about = updates.map((u) => u.about);
  const weighted = weigh(about, options.weighting, options.weightingOptions);
  return combineBy(chosenCombiner(options), { updates, length, weighted, clip: options.clip, folder, own });
}

/** As `combine`, by a combiner that need not be in the table and updates that are weighed. */
export async function combineBy({ name, record, options, least }: Chosen, combining: Combining): Promise<Combined> {
  const { updates, weighted, own } = combining;
  if (updates.length < least) throw new TooFewUpdatesError(name, least, updates.length);
  const trusted = record.kind === 'weighted-sum' && record.ownDifference;
  if (trusted && !own)
    throw new ArgumentError(
      'ECAVG_AGGREGATE',
      `combiner ${name} needs the cloud’s own difference: set fineTune.epochs above 0`,
    );
  const given = { weights: weighted.weights, updates: updates.map((u) => u.about), options };
  const way = WAYS[record.kind] as (work: Work) => Promise<Combined>;
  return way({ ...combining, name, record, given, own: trusted ? own : undefined });
}

/** The combiner's coefficients, one for each update. */
function checked({ name, updates }: Work, coefficients: readonly number[]): readonly number[] {
  const sound = Array.isArray(coefficients) && coefficients.every((c) => Number.isFinite(c));
  // A coefficient that is no number would count for nothing in the sum, and the round would pass for a success.
  if (!sound || coefficients.length !== updates.length)
    throw new ArgumentError(
      'ECAVG_AGGREGATE',
      `combiner ${name} gave [${coefficients}], not a list of ${updates.length} finite coefficients`,
    );
  return coefficients;
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

async function streaming(work: Work<StreamingCombiner>): Promise<Combined> {
  const { updates, length, clip, weighted, record, given } = work;
  const scratch = new Float32Array(length);
  const sketch = new Sketch(length, updates.length);
  const norms: number[] = [];
  const whole = checked(work, record.coefficients(given)).map((c, k) => c * (weighted.scales[k] as number));
  let difference: Float32Array = new Float32Array(length);
  // One pass does for most rounds: what it adds is the sum, unless an update turns out to be too long.
  for (const [k, update] of updates.entries()) {
    scratch.fill(0);
    await update.addTo(scratch, 1);
    sketch.take(k, 0, scratch);
    norms.push(addScaled(difference, scratch, whole[k] as number));
  }
  const clips = clip > 0 ? clipFactors(diagonal(norms), clip) : norms.map(() => 1);
  const shares = whole.map((c, k) => c * (clips[k] as number));
  // Taking the excess of a very long update back would leave its rounding errors: then everything is summed again.
  if (clips.some((c) => c < 1)) difference = await sumOverHolders(updates, shares, scratch.fill(0));
  else divideByHolders(updates, shares, difference);
  return { difference, shares, norms, cosines: sketch.cosines(difference), clipped: count(clips) };
}

const diagonal = (norms: readonly number[]): Gram =>
  norms.map((n, i) => Float64Array.from(norms, (_, j) => (i === j ? n * n : 0)));
const count = (clips: readonly number[]): number => clips.filter((c) => c < 1).length;

async function weightedSum(work: Work<WeightedSumCombiner>): Promise<Combined> {
  const { updates, length, folder, record, given, own } = work;
  return withBlocks(updates, length, folder, async (blocks) => {
    const { sketch, gram, factors, figures } = await compared(work, blocks, own);
    const scaled = scaledGram(gram, own ? [...factors, 1] : factors);
    const chosen = checked(work, record.coefficients(geometry(scaled, updates.length), given));
    const shares = chosen.map((c, k) => c * (factors[k] as number));
    const difference = await sumOverHolders(updates, shares, new Float32Array(length));
    return { difference, shares, cosines: sketch.cosines(difference), ...figures };
  });
}

async function coordinates(work: Work<CoordinateCombiner>): Promise<Combined> {
  const { updates, length, folder, record, given } = work;
  return withBlocks(updates, length, folder, async (blocks) => {
    const { sketch, factors, figures } = await compared(work, blocks);
    const difference = new Float32Array(length);
    for await (const { from, rows } of blocks()) {
      const scaled = rows.map((row, k) => row.map((v) => v * (factors[k] as number)));
      record.combine(scaled, difference.subarray(from, from + (rows[0]?.length ?? 0)), given);
    }
    const shares = updates.map(() => 1 / updates.length);
    return { difference, shares, cosines: sketch.cosines(difference), ...figures };
  });
}

/** Inner products of all updates, with `own` last where it is given; and what each update is multiplied by, scale and clipping. */
async function compared(
  { updates, length, clip, weighted }: Work,
  blocks: () => AsyncGenerator<Block>,
  own?: Float32Array,
) {
  const sketch = new Sketch(length, updates.length);
  let gram: Gram = [];
  for await (const { from, rows } of blocks()) {
    for (const [k, row] of rows.entries()) sketch.take(k, from, row);
    const all = own ? [...rows, own.subarray(from, from + (rows[0]?.length ?? 0))] : rows;
    gram = plus(gram, gramMatrix(all));
  }
  const norms = updates.map((_, k) => norm(gram, k));
  const clips = clip > 0 ? clipFactors(gram.slice(0, updates.length), clip) : norms.map(() => 1);
  const factors = updates.map((_, k) => (weighted.scales[k] as number) * (clips[k] as number));
  return { sketch, gram, factors, figures: { norms, clipped: count(clips) } };
}

function plus(a: Gram, b: Gram): Gram {
  return a.length === 0 ? b : a.map((row, i) => row.map((v, j) => v + (b[i]?.[j] as number)));
}
