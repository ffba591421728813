/**
 * Records as OpenTelemetry log records, in OTLP's JSON encoding (OTLP 1.x): names in camel case, 64-bit integers as text, ids
 * of traces in hexadecimal. Attributes have the names of the semantic conventions where those have one, and `opallama.*`
 * elsewhere; the body is the record's own JSON, the same as in every other sink.
 */
import type { AuditEvent } from '../../types.ts';
import type { Recorded } from '../sink.ts';
import { severityOf } from './syslog-message.ts';

interface Attribute {
  readonly key: string;
  readonly value: object;
}

/** SeverityNumber of the log data model. */
const severityNumbers = { error: 17, warning: 13, notice: 10, informational: 9 } as const;
const severityTexts = { error: 'ERROR', warning: 'WARN', notice: 'INFO2', informational: 'INFO' } as const;

export interface OtlpResource {
  readonly version: string;
  /** One for each run of a sidecar. */
  readonly instance: string;
  readonly host: string;
  /** Of the configuration; goes over the others. */
  readonly more: Readonly<Record<string, string>>;
}

/** @param nowMs when it is sent, Unix time */
export function buildOtlpPayload(records: readonly Recorded[], resource: OtlpResource, nowMs: number): string {
  const attributes = {
    'service.name': 'opallama',
    'service.version': resource.version,
    'service.instance.id': resource.instance,
    'host.name': resource.host,
    ...resource.more,
  };
  return JSON.stringify({
    resourceLogs: [
      {
        resource: { attributes: Object.entries(attributes).flatMap(([key, value]) => attribute(key, value)) },
        scopeLogs: [
          {
            scope: { name: 'opallama.audit', version: resource.version },
            logRecords: records.map((recorded) => describeRecord(recorded, nowMs)),
          },
        ],
      },
    ],
  });
}

function describeRecord(recorded: Recorded, nowMs: number): object {
  const { kind, event, json } = recorded;
  const severity = severityOf(recorded);
  const traceId = recorded.kind === 'audit' ? recorded.event.trace_id : undefined;
  return {
    timeUnixNano: toNano(Date.parse(event.time)),
    observedTimeUnixNano: toNano(nowMs),
    severityNumber: severityNumbers[severity],
    severityText: severityTexts[severity],
    eventName: `opallama.${kind}`,
    body: { stringValue: `{"event":"${kind}",${json().slice(1)}` },
    attributes: [
      ...attribute('opallama.request_id', event.request_id),
      ...(recorded.kind === 'audit' ? describeAudit(recorded.event) : []),
      ...(recorded.kind === 'admin' ? attribute('enduser.id', recorded.event.who) : []),
    ],
    ...(traceId !== undefined && { traceId }),
  };
}

function describeAudit(event: AuditEvent): readonly Attribute[] {
  return [
    ...attribute('enduser.id', event.principal),
    ...attribute('http.request.method', event.method),
    ...attribute('http.route', event.path),
    ...attribute('http.response.status_code', event.status),
    ...attribute('error.type', event.error),
    ...attribute('gen_ai.operation.name', event.operation),
    ...attribute('gen_ai.provider.name', event.provider),
    ...attribute('gen_ai.request.model', event.model),
    ...attribute('gen_ai.usage.input_tokens', event.input_tokens),
    ...attribute('gen_ai.usage.output_tokens', event.output_tokens),
    ...attribute('gen_ai.response.finish_reasons', event.finish_reason && [event.finish_reason]),
    ...attribute('opallama.decision_id', event.decision_id),
    ...attribute('opallama.policy_result', event.policy_result),
    ...attribute('opallama.reasons', event.reasons),
    ...attribute('opallama.revision', event.revision),
    ...attribute('opallama.outcome', event.outcome),
    ...attribute('opallama.duration_ms', event.duration_ms),
  ];
}

/** @returns none for what is not there */
function attribute(key: string, value: string | number | readonly string[] | undefined): readonly Attribute[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [{ key, value: { stringValue: value } }];
  if (typeof value === 'number')
    return [{ key, value: Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value } }];
  return [{ key, value: { arrayValue: { values: value.map((stringValue) => ({ stringValue })) } } }];
}

function toNano(ms: number): string {
  return `${Math.trunc(ms)}000000`;
}
