/** A line of the audit log as a decision that can be made again. */
import type { Told } from '../decision/disagreement.ts';
import type { GivenInput } from './inputs.ts';
import { toAuditInput } from './inputs.ts';

export interface RecordedDecision {
  readonly kind: 'decision';
  readonly given: GivenInput;
  readonly told: Told;
  /** Unix time, ms; undefined where the line does not say. */
  readonly atMs: number | undefined;
  readonly decisionId: string | undefined;
}

export type AuditLine =
  | RecordedDecision
  /** A request that ended before the policy was asked, or another line of the log. */
  | { readonly kind: 'undecided' | 'other' }
  | { readonly kind: 'broken'; readonly why: string };

const results: ReadonlyMap<unknown, Told['result']> = new Map([
  ['allow', 'allow'],
  ['deny', 'deny'],
  ['error', 'error'],
]);

const broken = (why: string): AuditLine => ({ kind: 'broken', why });

/**
 * @param place for people, `file:line`
 * @param text undefined where the line could not be read
 * @param ended whether the line has its end
 */
export function readAuditLine(place: string, text: string | undefined, ended: boolean): AuditLine {
  if (text === undefined) return broken('is too long or no UTF-8');
  if (text.trim() === '') return { kind: 'other' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return broken(ended ? 'is not JSON' : 'is cut short');
  }
  if (!isRecord(value)) return broken('is no JSON object');
  // As the audit file has it.
  if (value['event'] !== 'audit' && value['event'] !== 'completion') return { kind: 'other' };
  if (value['policy_result'] === 'none') return { kind: 'undecided' };
  const result = results.get(value['policy_result']);
  if (result === undefined) return broken('has a policy_result that there is not');
  const codes = value['reasons'];
  if (!Array.isArray(codes) || !codes.every((code) => typeof code === 'string'))
    return broken('has no list of codes in reasons');
  const given = toAuditInput(place, value['input']);
  if (given === undefined) return broken('has a decision and no input');
  const atMs = Date.parse(String(value['time']));
  const decisionId = value['decision_id'];
  return {
    kind: 'decision',
    given,
    told: { result, codes },
    atMs: Number.isNaN(atMs) ? undefined : atMs,
    decisionId: typeof decisionId === 'string' ? decisionId : undefined,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
