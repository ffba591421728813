/** Asks several policies at once, of which each must allow. */
import type { LoadedPolicy } from '../types.ts';
import { compose } from './compose.ts';
import type { Decide } from './decide.ts';

/**
 * Every policy is asked about every request, so that the reasons are those of all and do not depend on which one was the
 * faster. A policy that fails denies with its own code; the others go on deciding.
 *
 * @param members at least one, in the order of the configuration; names are unique
 */
export function createAllOf(members: ReadonlyArray<{ readonly name: string; readonly decide: Decide }>): Decide {
  return async function decideAll(input) {
    const started = performance.now();
    const decisions = await Promise.all(
      members.map(async ({ name, decide }) => ({ name, decision: await decide(input) })),
    );
    const durationNs = Math.round((performance.now() - started) * 1e6);
    return { ...compose(decisions), decisionId: input.decision_id, durationNs };
  };
}

/** What several policies read between them: an input must serve all of them. */
export function uniteReads(policies: readonly LoadedPolicy[]): LoadedPolicy['reads'] {
  return {
    all: policies.some(({ reads }) => reads.all),
    members: new Set(policies.flatMap(({ reads }) => [...reads.members])),
  };
}
