import { ArgumentError } from '@ecavg/protocol/errors';
import { cosine, type Gram, norm, squaredDistance } from './gram.js';
import { median } from './median.js';

/*
 * Combiners whose result is a weighted sum of the differences: they need the inner products only, so that no more than
 * one decoded update is in memory when the sum is made.
 */

const ascending = (a: number, b: number): number => a - b;

/**
 * Norm clipping: min(1, C / |D_k|) with C = `factor` times the median norm, so that no update weighs by its length alone
 * (Sun et al. 2019, arXiv:1911.07963, section 4, with a bound that follows the fleet).
 */
export function clipFactors(gram: Gram, factor: number): number[] {
  const norms = gram.map((_, i) => norm(gram, i));
  const bound = factor * median(norms);
  return norms.map((n) => (n > bound && bound > 0 ? bound / n : 1));
}

/**
 * Multi-Krum (Blanchard et al. 2017): the mean of the n - f updates whose squared distances to their n - f - 2 nearest sum to the least.
 * @param f how many may be hostile; n >= 2 f + 3.
 * @returns weights that sum to 1.
 * @throws RangeError for fewer updates.
 */
export function multiKrum(gram: Gram, f: number): number[] {
  const n = gram.length;
  if (n < 2 * f + 3)
    throw new ArgumentError(
      'ECAVG_AGGREGATE',
      `multi-Krum against ${f} hostile edges needs ${2 * f + 3} updates; there are ${n}`,
    );
  const scores = gram.map((_, i) => {
    const distances = gram.map((__, j) => squaredDistance(gram, i, j)).filter((___, j) => j !== i);
    return distances
      .sort(ascending)
      .slice(0, n - f - 2)
      .reduce((a, b) => a + b, 0);
  });
  const order = [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b);
  const chosen = new Set(order.slice(0, n - f));
  return scores.map((_, i) => (chosen.has(i) ? 1 / chosen.size : 0));
}

/** Of a distance: where all updates are zero, its reciprocal still has to be a number. */
const LEAST = 1e-300;

/**
 * Geometric median by the smoothed Weiszfeld iteration (Pillutla et al. 2019, arXiv:1912.13445, Algorithm 2): weights
 * beta_k ~ alpha_k / max(nu, |z - D_k|). Every iterate is a weighted sum of the D_k, so that distances follow from inner products.
 * @param alphas weights of the updates, summing to 1.
 * @returns weights that sum to 1.
 */
export function geometricMedian(gram: Gram, alphas: readonly number[], iterations = 100): number[] {
  const n = gram.length;
  // Relative to the usual update: their scale is that of a learning rate, and one of them may be absurd.
  const nu = 1e-6 * median(gram.map((_, i) => norm(gram, i)));
  const squares = gram.map((_, i) => gram.map((__, j) => squaredDistance(gram, i, j)));
  let beta = [...alphas];
  for (let round = 0; round < iterations; round++) {
    // |sum_j beta_j D_j - D_i|^2 = sum_j beta_j d_ij - 1/2 sum_jk beta_j beta_k d_jk, with d the squared distances.
    const towards = squares.map((row) => row.reduce((s, d, j) => s + d * (beta[j] as number), 0));
    const spread = towards.reduce((s, t, i) => s + t * (beta[i] as number), 0) / 2;
    const raw = alphas.map((a, i) => {
      const distance = Math.sqrt(Math.max(0, (towards[i] as number) - spread));
      return a / Math.max(nu, distance, LEAST);
    });
    const total = raw.reduce((a, b) => a + b, 0);
    const next = raw.map((r) => r / total);
    const moved = Math.max(...next.map((b, i) => Math.abs(b - (beta[i] as number))));
    beta = next;
    if (moved < 1e-12 || n === 1) break;
  }
  return beta;
}

/**
 * FLTrust (Cao et al. 2021, arXiv:2012.13995, equation 4): trust TS_k = ReLU(cos(D_k, D_0)) in the cloud's own update D_0, every update
 * rescaled to the length of D_0: sum_k TS_k |D_0| / |D_k| D_k / sum_k TS_k.
 * @param gram with D_0 last.
 * @returns coefficients of the updates; all 0 where none points the cloud's way.
 */
export function fltrust(gram: Gram): number[] {
  const own = gram.length - 1;
  const trust = [...Array(own).keys()].map((i) => Math.max(0, cosine(gram, i, own)));
  const total = trust.reduce((a, b) => a + b, 0);
  return trust.map((t, i) => (t === 0 ? 0 : ((t / total) * norm(gram, own)) / norm(gram, i)));
}

/** Coordinate-wise median of rows, into `out` (Yin et al. 2018, arXiv:1803.01498, Definition 1). */
export function coordinateMedian(rows: readonly Float32Array[], out: Float32Array): void {
  const values = new Float32Array(rows.length);
  const half = rows.length >> 1;
  for (let k = 0; k < out.length; k++) {
    for (const [i, row] of rows.entries()) values[i] = row[k] as number;
    values.sort();
    const upper = values[half] as number;
    out[k] = rows.length % 2 === 1 ? upper : ((values[half - 1] as number) + upper) / 2;
  }
}

/**
 * Coordinate-wise trimmed mean, into `out` (Yin et al. 2018, Definition 2): without the floor(share n) smallest and largest values.
 * @param share in [0, 0.5).
 */
export function trimmedMean(rows: readonly Float32Array[], share: number, out: Float32Array): void {
  const cut = Math.floor(share * rows.length);
  const values = new Float32Array(rows.length);
  const kept = rows.length - 2 * cut;
  for (let k = 0; k < out.length; k++) {
    for (const [i, row] of rows.entries()) values[i] = row[k] as number;
    values.sort();
    let total = 0;
    for (let i = cut; i < rows.length - cut; i++) total += values[i] as number;
    out[k] = total / kept;
  }
}
