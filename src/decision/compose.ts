/**
 * Several policies of which each must allow: what their decisions come to together (design: engines compose). Pure; whoever
 * asked the engines stands in `all-of.ts`.
 *
 * Denials and failures: the first in the configuration's order gives status, body and headers, the reasons are those of all
 * that did not allow. Allows: what they ask for is carried out for all of them, and where two contradict each other there
 * is nothing that both allowed, so it is denied.
 */
import type { Decision } from '../types.ts';
import { composeObligations } from './compose-obligations.ts';
import { Conflict } from './conflict.ts';
import { denied, type Narrowed } from './narrow.ts';

/** The decision of one policy, with the name that the configuration gives to the policy. */
export interface NamedDecision {
  readonly name: string;
  readonly decision: Decision;
}

/** @param decisions at least one, in the order of the configuration */
export function compose(decisions: readonly NamedDecision[]): Omit<Decision, 'decisionId' | 'durationNs'> {
  const list = decisions.map(({ decision }) => decision);
  const told = {
    engine: list.map(({ engine }) => engine).join(','),
    revision: list.map(({ revision }) => revision).join(','),
    dynamicMetadata: nameMetadata(decisions),
    // Who says nothing leaves it to the others.
    ...(list.some(({ debugLog }) => debugLog !== undefined) && {
      debugLog: !list.some(({ debugLog }) => debugLog === false),
    }),
  };
  const refusals = list.filter(({ allowed }) => !allowed);
  const [first] = refusals;
  if (first === undefined) {
    const united = unite(list);
    return { ...united, ...told, result: united.allowed ? 'allow' : 'deny' };
  }
  return {
    ...first,
    ...told,
    reasons: refusals.flatMap(({ reasons }) => reasons),
  };
}

function unite(decisions: readonly Decision[]): Narrowed {
  try {
    const headers = uniteHeaders('headers', decisions, (decision) => decision.headers);
    const requestHeadersToRemove = [...new Set(decisions.flatMap((decision) => decision.requestHeadersToRemove))];
    const contested = requestHeadersToRemove.find(
      // One policy that does both removes: that is what it always meant.
      (header) =>
        decisions.some((decision) => sets(decision, header) && !decision.requestHeadersToRemove.includes(header)),
    );
    if (contested !== undefined) throw new Conflict(`One policy sets the header ${contested}, another removes it.`);
    return {
      allowed: true,
      httpStatus: 200,
      reasons: decisions.flatMap(({ reasons }) => reasons),
      body: undefined,
      headers,
      requestHeadersToRemove,
      responseHeadersToAdd: uniteHeaders('response_headers_to_add', decisions, (one) => one.responseHeadersToAdd),
      dynamicMetadata: undefined,
      obligations: composeObligations(decisions.map(({ obligations }) => obligations)),
    };
  } catch (error) {
    if (error instanceof Conflict) return denied('policy_conflict', error.message);
    throw error;
  }
}

function sets(decision: Decision, header: string): boolean {
  return Object.hasOwn(decision.headers, header);
}

function uniteHeaders(
  member: string,
  decisions: readonly Decision[],
  read: (decision: Decision) => Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const united = new Map<string, string>();
  for (const decision of decisions) {
    for (const [header, value] of Object.entries(read(decision))) {
      const known = united.get(header);
      if (known !== undefined && known !== value)
        throw new Conflict(`Two policies set ${header} in "${member}" to different values.`);
      united.set(header, value);
    }
  }
  return Object.fromEntries(united);
}

/** Below the policy's name, so that it shows whose it is and nothing can clash. */
function nameMetadata(decisions: readonly NamedDecision[]): Decision['dynamicMetadata'] {
  const named = decisions.flatMap(({ name, decision }) =>
    decision.dynamicMetadata === undefined ? [] : [[name, decision.dynamicMetadata] as const],
  );
  return named.length === 0 ? undefined : Object.fromEntries(named);
}
