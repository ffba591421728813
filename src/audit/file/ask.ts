/** Questions of operators to the audit file, by the admin API. */
import { RequestError } from '../../errors.ts';
import { lastRequests, type RequestEvent } from './requests.ts';

export interface AuditAnswer {
  readonly since: string;
  readonly until?: string | undefined;
  /** In the order in which they ended, the newest last. */
  readonly requests: readonly RequestEvent[];
  /** Earlier ones that fit as well. */
  readonly left_out: number;
}

export type AskAudit = (question: Readonly<Record<string, unknown>>) => Promise<AuditAnswer>;

const defaultLimit = 100;
const mostRequests = 1000;
const hourMs = 3_600_000;

/** @param path of the file that this process writes @returns what throws `invalid_member` and, of two at once, `overloaded` */
export function createAskAudit(path: string): AskAudit {
  let isAsked = false;
  return async (question) => {
    const sinceMs = readTime(question['since'], 'since') ?? Date.now() - hourMs;
    const untilMs = readTime(question['until'], 'until');
    if (untilMs !== undefined && untilMs <= sinceMs)
      throw new RequestError(
        'invalid_member',
        'Write an "until" that is later than "since", which is an hour ago by default.',
      );
    const limit = readLimit(question['limit']);
    const text = (name: string): string | undefined => {
      const value = question[name];
      return typeof value === 'string' ? value : undefined;
    };
    const filter = {
      sinceMs,
      untilMs,
      principal: text('principal'),
      model: text('model'),
      provider: text('provider'),
      result: text('result'),
      outcome: text('outcome'),
    };
    // A long log takes a while, and requests come first.
    if (isAsked) throw new RequestError('overloaded', 'Another question to the audit file is being answered.');
    isAsked = true;
    try {
      const { requests, left } = await lastRequests(path, filter, limit, () => true);
      const until = untilMs === undefined ? undefined : new Date(untilMs).toISOString();
      return { since: new Date(sinceMs).toISOString(), until, requests, left_out: left };
    } finally {
      isAsked = false;
    }
  };
}

function readTime(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{4}-/.test(String(value)) ? Date.parse(String(value)) : Number.NaN;
  if (Number.isNaN(ms)) throw new RequestError('invalid_member', `Write "${name}" as 2026-01-31T22:00:00Z.`);
  return ms;
}

function readLimit(value: unknown): number {
  if (value === undefined) return defaultLimit;
  const limit = /^\d{1,4}$/.test(String(value)) ? Number(value) : 0;
  if (limit < 1 || limit > mostRequests)
    throw new RequestError('invalid_member', `Write "limit" as a whole number from 1 to ${mostRequests}.`);
  return limit;
}
