/**
 * The score above which a sample is called unusual, such that a usual one is so with probability at most `rate`: the ceil((n + 1)
 * (1 - rate))-th smallest of n scores of usual samples (split conformal prediction; Angelopoulos and Bates 2021, arXiv:2107.07511,
 * section 1). Undefined where there are too few scores for that rate, or the model gives none.
 */
export function conformalThreshold(scores: Float32Array, rate: number): number | undefined {
  const finite = scores.filter(Number.isFinite).sort();
  const rank = Math.ceil((finite.length + 1) * (1 - rate));
  return finite.length < scores.length || rank > finite.length ? undefined : finite[rank - 1];
}
