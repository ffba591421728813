/** @param quantile 0 to 1 @returns NaN for nothing */
export function quantileOf(values: readonly number[], quantile: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.floor(quantile * sorted.length));
  return sorted[index] ?? Number.NaN;
}

/** Rounds alternate so that noise hits all alike; what is left of it is in the outer ones. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Median of the rounds' own ratios: the two of a round were measured one after the other. */
export function medianRatio(values: readonly number[], to: readonly number[]): number {
  return medianOf(values.map((value, index) => value / (to[index] ?? Number.NaN)));
}
