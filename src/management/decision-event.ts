/**
 * The audit event as an event of OPA's decision log (OPA's docs: management API, decision logs; in its source
 * `EventV1` of `v1/plugins/logs`). Made of what is recorded anyway, so no content can be in it.
 */
import { type ErrorCode, errorTable } from '../errors.ts';
import type { AuditEvent, Measures } from '../types.ts';

/** Members as OPA spells and orders them. */
export interface DecisionEvent {
  readonly labels: Readonly<Record<string, string>>;
  readonly decision_id: string;
  readonly bundles: Readonly<Record<string, { readonly revision: string }>>;
  readonly path: string;
  readonly input?: unknown;
  readonly result?: unknown;
  readonly erased?: readonly string[] | undefined;
  readonly masked?: readonly string[] | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly requested_by?: string | undefined;
  readonly timestamp: string;
  readonly metrics?: Readonly<Record<string, number>> | undefined;
  readonly req_id: number;
  readonly custom: Readonly<Record<string, unknown>>;
}

export interface EventContext {
  readonly labels: Readonly<Record<string, string>>;
  /** In the order of the configuration, as their revisions stand in the audit event. */
  readonly policies: ReadonlyArray<{ readonly bundle: string; readonly entrypoint: string }>;
}

/** @param number of the event in this process @returns undefined for a request that no policy was asked about */
export function makeDecisionEvent(
  event: AuditEvent,
  measures: Measures,
  number: number,
  { labels, policies }: EventContext,
): DecisionEvent | undefined {
  const { decision_id: decisionId, policy_result: result, input: recorded } = event;
  if (decisionId === undefined || result === 'none') return undefined;
  const { erased, ...input } = recorded ?? {};
  const client = Object(input['client']);
  const ip: unknown = client['ip'];
  return {
    labels,
    decision_id: decisionId,
    bundles: describeBundles(event.revision ?? '', policies),
    path: policies.map(({ entrypoint }) => entrypoint).join(','),
    input,
    result: {
      allowed: result === 'allow',
      reasons: event.reasons,
      ...(event.dynamic_metadata && { dynamic_metadata: event.dynamic_metadata }),
    },
    erased: Array.isArray(erased) ? erased.map((member) => `/input/${String(member)}`) : undefined,
    error: result === 'error' ? describeError(event.reasons[0]) : undefined,
    requested_by: typeof ip === 'string' ? ip : undefined,
    timestamp: event.time,
    metrics: {
      ...(measures.decisionS !== undefined && { timer_rego_query_eval_ns: Math.round(measures.decisionS * 1e9) }),
      ...(measures.overheadS !== undefined && { timer_server_handler_ns: Math.round(measures.overheadS * 1e9) }),
    },
    req_id: number,
    custom: {
      request_id: event.request_id,
      engine: event.engine,
      target: event.target,
      status: event.status,
      outcome: event.outcome,
      error: event.error,
      input_tokens: event.input_tokens,
      output_tokens: event.output_tokens,
      duration_ms: event.duration_ms,
    },
  };
}

/** Of several policies the revisions are joined by commas, in their order. */
function describeBundles(revision: string, policies: EventContext['policies']): DecisionEvent['bundles'] {
  const revisions = policies.length === 1 ? [revision] : revision.split(',');
  return Object.fromEntries(policies.map(({ bundle }, index) => [bundle, { revision: revisions[index] ?? '' }]));
}

function describeError(code: string | undefined): DecisionEvent['error'] {
  return { code: code ?? 'policy_error', message: errorTable[isErrorCode(code) ? code : 'policy_error'].message };
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && Object.hasOwn(errorTable, code);
}
