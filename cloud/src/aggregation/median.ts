const ascending = (a: number, b: number): number => a - b;

/** The middle value, or the mean of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort(ascending);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2;
}

/** The middle value; of an even number of values the larger one of the two in the middle, so that it is always one of them. 0 of none. */
export const upperMedian = (values: readonly number[]): number => [...values].sort(ascending)[values.length >> 1] ?? 0;
