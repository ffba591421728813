import { createRecorder, type RecorderOptions } from '../../src/audit/record.ts';
import { withoutContent } from '../../src/input/without-content.ts';
import type { AuditEvent, Decision, Measures } from '../../src/types.ts';

/** A recorder that keeps what it makes, as a line holds it: without the members that are undefined. */
export function createKeepingRecorder(over: Partial<RecorderOptions> = {}) {
  const events: AuditEvent[] = [];
  const measures: Measures[] = [];
  const begin = createRecorder({
    observers: [
      (event, measured) => {
        events.push(JSON.parse(JSON.stringify(event)));
        measures.push(measured);
      },
    ],
    withoutContent,
    now: () => new Date('2026-06-11T12:00:00.000Z'),
    ...over,
  });
  return { begin, events, measures };
}

/** A policy that reads no content. */
export const judge = { codes: new Set(['declared_code']), readsContent: false };

export function decisionOf(over: Partial<Decision> = {}): Decision {
  return {
    decisionId: 'd-1',
    allowed: true,
    result: 'allow',
    reasons: [],
    httpStatus: 200,
    body: undefined,
    headers: {},
    requestHeadersToRemove: [],
    responseHeadersToAdd: {},
    dynamicMetadata: undefined,
    obligations: {},
    engine: 'wasm',
    revision: 'r7',
    durationNs: 12_000,
    ...over,
  };
}

/** A chat that was allowed and answered whole. */
export function auditEventOf(over: Partial<AuditEvent> = {}): AuditEvent {
  return {
    time: '2026-06-11T12:00:00.000Z',
    request_id: 'r',
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    path: '/api/chat',
    model: 'tiny',
    target: 'http://127.0.0.1:11434',
    stream: true,
    policy_result: 'allow',
    reasons: [],
    engine: 'wasm',
    revision: 'r7',
    status: 200,
    usage: 'known',
    input_tokens: 10,
    output_tokens: 21,
    duration_ms: 3000,
    outcome: 'complete',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'POST',
    provider: 'ollama',
    ...over,
  };
}
