/** What another policy changes: two decisions about the same input, the one that counted and one that did not. */
import type { Decision } from '../types.ts';

/** As much of a decision as a record keeps. */
export interface Told {
  readonly result: Decision['result'];
  /** Of reasons; neither their order nor a repetition means anything. */
  readonly codes: readonly string[];
}

/** `error`: the other one failed to evaluate, where the one that counted did not; it would deny. */
export type Disagreement = 'newly_denied' | 'newly_allowed' | 'other_reasons' | 'error';

/**
 * @param before what counted
 * @param after what the other policy says
 * @returns undefined where they agree
 */
export function findDisagreement(before: Told, after: Told): Disagreement | undefined {
  if (after.result === 'error' && before.result !== 'error') return 'error';
  if (before.result === 'allow' && after.result !== 'allow') return 'newly_denied';
  if (before.result !== 'allow' && after.result === 'allow') return 'newly_allowed';
  return before.result === after.result && haveSameCodes(before.codes, after.codes) ? undefined : 'other_reasons';
}

function haveSameCodes(some: readonly string[], others: readonly string[]): boolean {
  const [first, second] = [new Set(some), new Set(others)];
  return first.size === second.size && some.every((code) => second.has(code));
}
