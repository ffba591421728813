/** The first pause behind a failure, ms. */
const firstMs = 100;
/** Each is longer than the one before by this much. */
const factor = 1.6;

/**
 * How long to wait behind so many failures in a row: ever longer, and never two sidecars in step.
 *
 * @param failures at least 1
 * @param mostMs of the pause, before it is varied by a fifth either way
 * @returns ms
 */
export function backOff(failures: number, mostMs: number): number {
  const usual = Math.min(firstMs * factor ** Math.min(failures - 1, 40), mostMs);
  return usual * (0.8 + 0.4 * Math.random());
}
