/** Inner products of differences, in double precision: entry [i][j] is D_i . D_j. */
export type Gram = readonly Float64Array[];

/** Values handled at once: rows of a block stay in the cache while all pairs of them are multiplied. */
const BLOCK = 8192;

/** Inner products of all pairs of `rows`, which are equally long. */
export function gramMatrix(rows: readonly Float32Array[]): Gram {
  const gram = rows.map(() => new Float64Array(rows.length));
  const length = rows[0]?.length ?? 0;
  for (let from = 0; from < length; from += BLOCK) {
    const to = Math.min(from + BLOCK, length);
    for (const [i, a] of rows.entries()) {
      for (let j = 0; j <= i; j++) {
        const b = rows[j] as Float32Array;
        let dot = 0;
        for (let k = from; k < to; k++) dot += (a[k] as number) * (b[k] as number);
        const row = gram[i] as Float64Array;
        row[j] = (row[j] as number) + dot;
      }
    }
  }
  for (const [i, row] of gram.entries()) for (let j = 0; j < i; j++) (gram[j] as Float64Array)[i] = row[j] as number;
  return gram;
}

/** D_i . D_j of differences that are multiplied by `factors`. */
export function scaledGram(gram: Gram, factors: readonly number[]): Gram {
  return gram.map((row, i) => row.map((v, j) => v * (factors[i] as number) * (factors[j] as number)));
}

export const norm = (gram: Gram, i: number): number => Math.sqrt(gram[i]?.[i] ?? 0);

/** |D_i - D_j|^2, never below 0. */
export function squaredDistance(gram: Gram, i: number, j: number): number {
  const at = (a: number, b: number): number => gram[a]?.[b] ?? 0;
  return Math.max(0, at(i, i) + at(j, j) - 2 * at(i, j));
}

/** Cosine of D_i and D_j; 0 where one of them is zero. */
export function cosine(gram: Gram, i: number, j: number): number {
  const lengths = norm(gram, i) * norm(gram, j);
  return lengths === 0 ? 0 : (gram[i]?.[j] ?? 0) / lengths;
}

/** What lengths and inner products tell of differences D_k, and of the cloud's own where there is one. */
export interface Geometry {
  /** D_i . D_j; the cloud's own difference comes last. */
  readonly gram: Gram;
  /** How many updates there are. */
  readonly count: number;
  /** The index of the cloud's own difference; undefined where there is none. */
  readonly own: number | undefined;
  /** D_i . D_j. */
  dot(i: number, j: number): number;
  /** |D_i|. */
  norm(i: number): number;
  /** |D_i - D_j|^2, never below 0. */
  squaredDistance(i: number, j: number): number;
  /** In [-1, 1]; 0 where one of them is zero. */
  cosine(i: number, j: number): number;
}

/** @param count updates in `gram`; with one row more, that is the cloud's own difference. */
export const geometry = (gram: Gram, count: number): Geometry => ({
  gram,
  count,
  own: gram.length > count ? count : undefined,
  dot: (i, j) => gram[i]?.[j] ?? 0,
  norm: (i) => norm(gram, i),
  squaredDistance: (i, j) => squaredDistance(gram, i, j),
  cosine: (i, j) => cosine(gram, i, j),
});
