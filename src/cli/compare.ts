/** Two policies over many inputs. */
import { isDeepStrictEqual } from 'node:util';

import { contentMembers } from '../input/ask/asked.ts';
import type { Decision, InputNeeds, PolicyInput, Reason } from '../types.ts';
import type { GivenInput } from './inputs.ts';
import type { Judge } from './judge.ts';

export interface Report {
  readonly alike: number;
  readonly differences: readonly Difference[];
  /** Inputs that were recorded without something that one of the policies reads, and what that is. */
  readonly undecidable: readonly { readonly place: string; readonly members: readonly string[] }[];
  readonly revisions: { readonly before: string; readonly after: string };
}

export interface Difference {
  readonly place: string;
  readonly who: string;
  readonly asks: string;
  readonly differs: readonly Aspect[];
  readonly before: Told;
  readonly after: Told;
}

export interface Told {
  readonly decision: Decision['result'];
  readonly reasons: readonly Reason[];
  readonly obligations: Readonly<Record<string, unknown>>;
  readonly effects: unknown;
}

type Aspect = 'decision' | 'reasons' | 'obligations' | 'effects';
const aspects: readonly Aspect[] = ['decision', 'reasons', 'obligations', 'effects'];

export async function comparePolicies(before: Judge, after: Judge, inputs: readonly GivenInput[]): Promise<Report> {
  let alike = 0;
  const differences: Difference[] = [];
  const undecidable: { place: string; members: readonly string[] }[] = [];
  // One clock for both, where an input brings none.
  const now = Date.now() * 1e6;
  for (const given of inputs) {
    const members = findLost(given, [before.policy.reads, after.policy.reads]);
    if (members.length > 0) {
      undecidable.push({ place: given.place, members });
      continue;
    }
    const input: PolicyInput = { ...given.input, now_ns: given.input.now_ns ?? now };
    const told = [toldOf(await before.decide(input)), toldOf(await after.decide(input))] as const;
    const differs = aspects.filter((aspect) => !isDeepStrictEqual(told[0][aspect], told[1][aspect]));
    if (differs.length === 0) alike += 1;
    else differences.push({ place: given.place, ...describe(input), differs, before: told[0], after: told[1] });
  }
  return {
    alike,
    differences,
    undecidable,
    revisions: { before: before.policy.revision, after: after.policy.revision },
  };
}

/**
 * What was left out of the record, or was not even built because the policy of that time did not read it: content, of which
 * a prompt has something even where it is empty, and the role of a caller that has several.
 */
export function findLost({ input, erased }: GivenInput, reads: readonly InputNeeds[]): readonly string[] {
  const isRead = (member: string): boolean => reads.some(({ all, members }) => all || members.has(member));
  const hasContent = contentMembers.some((member) => input[member] !== undefined);
  const notBuilt: readonly string[] = input.message_count !== undefined && !hasContent ? contentMembers : [];
  // Inputs by hand may lack anything.
  const roles: unknown = Reflect.get(Object(input.principal), 'roles');
  const severalRoles = Array.isArray(roles) && new Set(roles).size > 1;
  const noRole = severalRoles && input.agent_role === undefined ? ['agent_role'] : [];
  return [...new Set([...erased, ...notBuilt, ...noRole])].filter(isRead).sort();
}

/** The order of a set's elements means nothing. */
function toldOf(decision: Decision): Told {
  const { result, reasons, obligations, httpStatus, body, headers, dynamicMetadata } = decision;
  const { requestHeadersToRemove, responseHeadersToAdd } = decision;
  const text = ({ code, message }: Reason): string => `${code}\0${message}`;
  return {
    decision: result,
    reasons: reasons.toSorted((a, b) => (text(a) < text(b) ? -1 : 1)),
    obligations,
    effects: {
      http_status: httpStatus,
      body,
      headers,
      request_headers_to_remove: requestHeadersToRemove.toSorted(),
      response_headers_to_add: responseHeadersToAdd,
      dynamic_metadata: dynamicMetadata,
    },
  };
}

/** Inputs by hand may lack anything. */
export function describe(input: Partial<PolicyInput>): { readonly who: string; readonly asks: string } {
  const { principal, operation, model } = input;
  const roles = Array.isArray(principal?.roles) ? ` (${principal.roles.join(', ')})` : '';
  return {
    who: `${principal?.id ?? ''}${roles}`.trim(),
    asks: [operation, model].filter((part) => part !== undefined).join(' '),
  };
}
