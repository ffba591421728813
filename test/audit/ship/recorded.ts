/** Records for the tests of shipping. */
import { createAuditRecorded, type Recorded, toLineJson } from '../../../src/audit/sink.ts';
import type { AdminEvent, AuditEvent } from '../../../src/types.ts';
import { auditEventOf } from '../recording.ts';

export const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

export function auditOf(over: Partial<AuditEvent> = {}): AuditEvent {
  return auditEventOf({
    time: '2026-06-11T12:00:00.123Z',
    request_id: 'r-1',
    trace_id: traceId,
    decision_id: 'd-1',
    principal: 'alice',
    finish_reason: 'stop',
    duration_ms: 3000.5,
    ...over,
  });
}

export const recordedOf = (over: Partial<AuditEvent> = {}): Recorded => createAuditRecorded(auditOf(over));

export function adminRecorded(): Recorded {
  const event: AdminEvent = {
    time: '2026-06-11T12:00:00.123Z',
    request_id: 'op-1',
    who: 'oncall',
    endpoint: 'POST /v1/log-level',
    policy: '',
    status: 200,
  };
  return { kind: 'admin', event, json: () => toLineJson(event) };
}
