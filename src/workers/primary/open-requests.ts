/** Requests of a worker that were let through to the upstream and have not ended, as far as the record tells of them. */
import type { AuditEvent, DecisionEvent, Measures } from '../../types.ts';

export interface OpenRequests {
  begin(event: DecisionEvent): void;
  forget(event: Pick<DecisionEvent, 'request_id' | 'decision_id'>): void;
  /** The worker has ended, and they with it. @returns their events */
  end(): readonly { readonly event: AuditEvent; readonly measures: Measures }[];
}

export function createOpenRequests(): OpenRequests {
  const open = new Map<string, DecisionEvent>();

  return {
    begin: (event) => void open.set(idOf(event), event),
    forget: (event) => void open.delete(idOf(event)),
    end() {
      const ended = [...open.values()].map(describeLost);
      open.clear();
      return ended;
    },
  };
}

function idOf({ request_id, decision_id }: Pick<DecisionEvent, 'request_id' | 'decision_id'>): string {
  return `${request_id} ${decision_id}`;
}

/** How far its answer came nobody knows any more; to its client the connection was reset. */
function describeLost(decision: DecisionEvent): { readonly event: AuditEvent; readonly measures: Measures } {
  const durationMs = Math.max(0, Date.now() - Date.parse(decision.time));
  const event: AuditEvent = {
    ...decision,
    method: 'UNKNOWN',
    status: 500,
    error: 'internal_error',
    usage: 'unknown',
    duration_ms: durationMs,
    outcome: 'error',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'UNKNOWN',
  };
  const measures: Measures = {
    durationS: durationMs / 1000,
    firstByteS: undefined,
    decisionS: undefined,
    reasonLabel: '',
    overheadS: undefined,
  };
  return { event, measures };
}
