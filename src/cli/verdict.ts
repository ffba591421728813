/** A verdict as people and machines read it; `eval` and `explain` begin alike. */

import type { Config } from '../configured/config.ts';
import { errorTable } from '../errors.ts';
import { contentMembers } from '../input/ask/asked.ts';
import type { Decision, PolicyInput, Reason } from '../types.ts';
import type { Verdict } from './judge.ts';
import { paint } from './output.ts';

/** `refused`: the sidecar itself would not ask the policy. */
export type Outcome = 'allow' | 'deny' | 'error' | 'refused';

export function outcomeOf({ decision, refusal }: Verdict): Outcome {
  return decision === undefined || refusal !== undefined ? 'refused' : decision.result;
}

/** The codes that a denial or refusal goes by. */
export function codesOf({ decision, refusal }: Verdict): readonly string[] {
  return refusal === undefined ? (decision?.reasons.map(({ code }) => code) ?? []) : [refusal.code];
}

const hidden = '(hidden: --show-content)';

/**
 * What a policy writes may hold what it reads, so where it was given content its texts are hidden, as they are from the
 * record. Codes stay.
 */
export function veil(verdict: Verdict, showContent: boolean): Verdict {
  const { decision, input } = verdict;
  const gaveContent = contentMembers.some((member) => input?.[member] !== undefined);
  if (showContent || decision === undefined || !gaveContent) return verdict;
  const hide = (values: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.keys(values).map((name) => [name, hidden]));
  return {
    ...verdict,
    decision: {
      ...decision,
      reasons: decision.reasons.map((reason) => (isOwnText(reason) ? { ...reason, message: hidden } : reason)),
      body: decision.body === undefined ? undefined : hidden,
      headers: hide(decision.headers),
      responseHeadersToAdd: hide(decision.responseHeadersToAdd),
      dynamicMetadata: decision.dynamicMetadata && { hidden },
    },
  };
}

/** Neither the code again nor a sentence of the sidecar's. */
function isOwnText({ code, message }: Reason): boolean {
  return message !== code && !Object.values(errorTable).some((entry) => entry.message === message);
}

const colours = { allow: 'green', deny: 'red', error: 'magenta', refused: 'yellow' } as const;

/** One line for each reason, with the decision before the first. */
export function printHeadline(verdict: Verdict): string {
  const outcome = outcomeOf(verdict);
  const reasons = verdict.refusal === undefined ? (verdict.decision?.reasons ?? []) : [verdict.refusal];
  const mark = paint(['bold', colours[outcome]], outcome);
  if (reasons.length === 0) return `${mark}\n`;
  const lines = reasons.map(({ code, message }) => `${paint('bold', code)}${message === code ? '' : `  ${message}`}`);
  return `${lines.map((line, at) => `${at === 0 ? mark : ' '.repeat(outcome.length)}  ${line}\n`).join('')}`;
}

/** What was asked, by whom, and what would come of it. */
export function printFacts(verdict: Verdict, { policies }: Config): string {
  const { input, decision, refusal, status, changes, error } = verdict;
  const facts: [string, string][] = [];
  if (input?.principal !== undefined) facts.push(['caller', describeCaller(input)]);
  const asks = [input?.operation, input?.model].filter((part) => part !== undefined).join(' ');
  if (input?.method !== undefined) facts.push(['asks', `${asks}  (${input.method} ${input.path})`]);
  if (error !== undefined) facts.push(['error', error]);
  if (status !== undefined) facts.push(['answer', String(status)]);
  for (const [name, value] of Object.entries(decision === undefined ? {} : effectsOf(decision)))
    facts.push([name, JSON.stringify(value)]);
  if (changes.length > 0) facts.push(['changes', changes.join(', ')]);
  const ms = decision === undefined ? '' : `, ${(decision.durationNs / 1e6).toFixed(2)} ms`;
  const revision = decision === undefined ? '' : `, revision ${decision.revision}`;
  const asked = policies.map(({ entrypoint, engine }) => `${entrypoint} by ${engine}`).join(' and ');
  if (refusal === undefined) facts.push(['policy', `${asked}${revision}${ms}`]);
  else facts.push(['policy', 'was not asked: the sidecar itself refuses this request']);
  if (verdict.absent.length > 0)
    facts.push(['absent', `the policy reads ${verdict.absent.join(', ')}, which the input does not have`]);
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, text]) => `  ${paint('dim', name.padEnd(width))}  ${text}\n`).join('');
}

function describeCaller({ principal, agent_role }: PolicyInput): string {
  const { id, kind, roles, tenant } = principal;
  const parts = [
    id,
    kind,
    Array.isArray(roles) ? `roles ${roles.join(', ') || '(none)'}` : undefined,
    agent_role === undefined ? undefined : `agent_role ${agent_role}`,
    tenant === undefined ? undefined : `tenant ${tenant}`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

/** What a decision has beside its answer, as far as there is any. Wire names. */
function effectsOf(decision: Decision): Readonly<Record<string, unknown>> {
  const effects = {
    body: decision.body,
    obligations: decision.obligations,
    headers: decision.headers,
    request_headers_to_remove: decision.requestHeadersToRemove,
    response_headers_to_add: decision.responseHeadersToAdd,
    dynamic_metadata: decision.dynamicMetadata,
  };
  return Object.fromEntries(Object.entries(effects).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}

/** For `--format json`. */
export function toDocument(verdict: Verdict, { policies }: Config): Readonly<Record<string, unknown>> {
  const { decision, refusal, input, principal, error } = verdict;
  return {
    decision: outcomeOf(verdict),
    status: verdict.status,
    reasons: refusal === undefined ? (decision?.reasons ?? []) : [refusal],
    ...(decision !== undefined && effectsOf(decision)),
    error,
    changes: verdict.changes,
    principal: input?.principal ?? principal,
    operation: input?.operation,
    model: input?.model,
    entrypoint: policies.map(({ entrypoint }) => entrypoint).join(','),
    engine: policies.map(({ engine }) => engine).join(','),
    revision: decision?.revision,
    duration_ns: decision?.durationNs,
    absent: verdict.absent,
  };
}

/** The input, the caller's text left out and named unless it is wanted. */
export function showInput(input: PolicyInput, showContent: boolean): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = { ...input };
  if (showContent) return shown;
  const erased = contentMembers.filter((member) => shown[member] !== undefined);
  for (const member of erased) delete shown[member];
  return erased.length === 0 ? shown : { ...shown, erased };
}
