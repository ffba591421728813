/**
 * What the log tells of one request on its way, at level debug: of every request where that is the level, and of a single
 * one where its caller asked and the policy granted it. Names, numbers and codes; never content, never a credential, and of
 * headers only which ones there are.
 */
import type { Decision, Principal, Usage } from '../types.ts';
import type { Logger } from './log.ts';

export interface TrailStart {
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly method: string;
}

export interface Decided {
  readonly principal: Principal;
  readonly operation: string;
  readonly path: string;
  readonly model: string | undefined;
  /** Of the body; undefined where there is none. */
  readonly bytes: number | undefined;
  readonly decision: Decision;
  /** Codes that may be recorded: a policy that reads content can make others of it. */
  readonly reasons: readonly string[];
}

export interface Trail {
  decided(facts: Decided): void;
  forwarded(facts: {
    readonly target: string;
    readonly headers: readonly string[];
    readonly changes: readonly string[];
    readonly bytes: number | undefined;
  }): void;
  answered(facts: { readonly status: number; readonly framing: string | undefined }): void;
  ended(exit: {
    readonly outcome: string;
    readonly status: number;
    readonly error?: string | undefined;
    readonly usage?: Usage | 'unknown' | undefined;
    readonly finishReason?: string | undefined;
  }): void;
}

export interface Trails {
  /** @returns undefined unless every request is told of */
  begin(start: TrailStart): Trail | undefined;
  /** For a request whose caller asked and was granted it, whatever the level is. */
  grant(start: TrailStart): Trail;
}

export function createTrails(log: Logger): Trails {
  return {
    begin: (start) => (log.isLevelEnabled('debug') ? createTrail(log, start, false) : undefined),
    grant: (start) => createTrail(log, start, true),
  };
}

function createTrail(parent: Logger, { requestId, traceId, method }: TrailStart, granted: boolean): Trail {
  const startedMs = performance.now();
  const ids = { request_id: requestId, ...(traceId !== undefined && { trace_id: traceId }) };
  const log = parent.child({ ...ids, ...(granted && { granted }) }, { level: 'debug' });
  const sinceMs = (): number => Math.round((performance.now() - startedMs) * 1000) / 1000;
  if (!granted) log.debug({ method }, 'a request began');

  return {
    decided({ principal, decision, ...facts }) {
      const { id, kind, roles, permissions, tenant } = principal;
      const { decisionId: decision_id, result, httpStatus, engine, revision, durationNs } = decision;
      log.debug(
        {
          decision_id,
          method,
          ...facts,
          principal: { id, kind, roles, permissions, tenant },
          policy_result: result,
          http_status: decision.allowed ? undefined : httpStatus,
          engine,
          revision,
          decision_us: Math.round(durationNs / 1000),
        },
        'the request was decided',
      );
    },
    forwarded: (facts) => log.debug({ ...facts, ms: sinceMs() }, 'the request was handed to the upstream'),
    answered: (facts) => log.debug({ ...facts, ms: sinceMs() }, 'the upstream answers'),
    ended({ outcome, status, error, usage, finishReason: finish_reason }) {
      const counts =
        typeof usage === 'object' ? { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens } : {};
      log.debug({ outcome, status, error, ...counts, finish_reason, ms: sinceMs() }, 'the request ended');
    },
  };
}
