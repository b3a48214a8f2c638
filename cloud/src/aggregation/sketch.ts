import { ArgumentError } from '@ecavg/protocol/errors';

/** Values of each update that are kept; the error of a cosine of independent values is about 1 / sqrt of it. */
const KEPT = 8192;
/** Values of all updates together, so that memory does not grow with their number either; and the least of each. */
const KEPT_IN_ALL = 1 << 21;
const LEAST = 256;

/**
 * Every n-th value of each update, to see how updates agree without keeping them whole: memory does not grow with
 * the model. Cosines are exact for models of up to 8,192 values.
 */
export class Sketch {
  readonly #stride: number;
  readonly #rows: Float32Array[];

  constructor(
    private readonly length: number,
    updates: number,
  ) {
    this.#stride = Math.max(1, Math.ceil(length / Math.min(KEPT, Math.max(LEAST, KEPT_IN_ALL / updates))));
    this.#rows = Array.from({ length: updates }, () => new Float32Array(Math.ceil(length / this.#stride)));
  }

  /** Takes values `from` and on of update `k`. */
  take(k: number, from: number, values: Float32Array): void {
    const row = this.#rows[k] as Float32Array;
    for (let n = Math.ceil(from / this.#stride); n * this.#stride < from + values.length; n++)
      row[n] = values[n * this.#stride - from] as number;
  }

  /** Cosine of each update with `difference` (`length` values), in [-1, 1]; 0 where one of both is zero. */
  cosines(difference: Float32Array): number[] {
    if (difference.length !== this.length)
      throw new ArgumentError('ECAVG_PROGRAM', `${difference.length} values, not ${this.length}`);
    return this.#rows.map((row) => {
      let [dot, mine, other] = [0, 0, 0];
      for (const [n, v] of row.entries()) {
        const d = difference[n * this.#stride] as number;
        dot += v * d;
        mine += v * v;
        other += d * d;
      }
      return mine > 0 && other > 0 ? dot / Math.sqrt(mine * other) : 0;
    });
  }
}
