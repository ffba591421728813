/** The two sinks that ship records: to a syslog receiver and to an OpenTelemetry collector. */
import { randomUUID } from 'node:crypto';

import type { OtlpConfig, SyslogConfig } from '../../configured/ship.ts';
import type { AuditSink, Recorded } from '../sink.ts';
import { buildOtlpPayload } from './otlp-payload.ts';
import { postOtlp } from './otlp-transport.ts';
import { createShipper, type Queue, type ShipperEvents, type ShipperOptions } from './shipper.ts';
import { formatSyslog, syslogName } from './syslog-message.ts';
import { createSyslogTransport } from './syslog-transport.ts';

export interface ShipParts {
  readonly createQueue: (most: number) => Queue<Recorded>;
  readonly pauseMs: ShipperOptions['pauseMs'];
  readonly events: ShipperEvents;
}

const closeMs = 2000;

export function createSyslogSink(config: SyslogConfig, { createQueue, ...parts }: ShipParts): AuditSink {
  const transport = createSyslogTransport(config);
  const header = {
    facility: config.facility.code,
    hostname: syslogName(config.hostname),
    processId: process.pid,
  };
  return createShipper({
    ...parts,
    name: 'syslog',
    queue: createQueue(config.bufferEvents),
    batch: 100,
    delayMs: 200,
    closeMs,
    deliver: (records, signal) =>
      transport.send(
        records.map((recorded) => formatSyslog(recorded, header)),
        signal,
      ),
    release: transport.close,
  });
}

/** @param about the sidecar */
export function createOtlpSink(
  config: OtlpConfig,
  about: { readonly version: string; readonly host: string },
  { createQueue, ...parts }: ShipParts,
): AuditSink {
  const resource = { ...about, instance: randomUUID(), more: config.resource };
  return createShipper({
    ...parts,
    name: 'otlp',
    queue: createQueue(config.bufferEvents),
    batch: 500,
    delayMs: 1000,
    closeMs,
    deliver: (records, signal) =>
      postOtlp(config, buildOtlpPayload(records, resource, Date.now()), records.length, signal),
  });
}
