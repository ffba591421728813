/** What is measured and held to a limit. `run.ts` prints all of them in one table. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import type { TestContext } from 'node:test';

/** Of a figure. */
const mostRounds = 7;

export interface Figure {
  readonly what: string;
  readonly value: number;
  /** The value may be as large, and no larger. */
  readonly limit: number;
  readonly unit: string;
}

/** The file that `run.ts` reads, a figure a line. */
export const figuresVariable = 'HARDSHIP_FIGURES';

export const isHeld = ({ value, limit }: Figure): boolean => value <= limit;

export const show = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));

/** Fails where one is over its limit, once all of them are told. */
export function hold(t: TestContext, figures: readonly Figure[]): void {
  const file = process.env[figuresVariable];
  for (const figure of figures) {
    const { what, value, limit, unit } = figure;
    t.diagnostic(`${what}: ${show(value)} ${unit} (at most ${show(limit)})`);
    // What is no number would be null.
    if (file !== undefined) appendFileSync(file, `${JSON.stringify({ ...figure, value: String(value) })}\n`);
  }
  const missed = figures.filter((figure) => !isHeld(figure));
  assert.deepEqual(missed, []);
}

export function quantile(ascending: readonly number[], of: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(of * ascending.length))] ?? Number.NaN;
}

/**
 * What must hold at a machine that does nothing else: one that is busy with other things spoils rounds, and makes none better.
 *
 * @param limit a round within it is the last one
 * @returns the best round
 */
export async function bestOf(t: TestContext, limit: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  let best = Number.POSITIVE_INFINITY;
  while (values.length < mostRounds && !(best <= limit)) {
    const value = await measure();
    values.push(value);
    best = Math.min(best, value);
  }
  if (values.length > 1) t.diagnostic(`rounds until one held: ${values.map(show).join(', ')}`);
  return best;
}

/** What is compared with something that is measured in the same round. @returns the middle one of the rounds */
export async function middleOf(rounds: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) values.push(await measure());
  const ascending = values.toSorted((a, b) => a - b);
  return ascending[Math.floor((rounds - 1) / 2)] ?? Number.NaN;
}
