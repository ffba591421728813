/** Opens what the configuration says records go to. */
import { hostname } from 'node:os';

import type { App } from '../app.ts';
import { openFileSink } from '../audit/file/file-sink.ts';
import {
  createFileDelivery,
  createHeadDelivery,
  createPostDelivery,
  type HeadDelivery,
} from '../audit/file/head-delivery.ts';
import { createOtlpSink, createSyslogSink, type ShipParts } from '../audit/ship/sinks.ts';
import { type AuditSink, type AuditSinks, createSinks } from '../audit/sink.ts';
import { createStdoutSink, type StdoutSink } from '../audit/stdout-sink.ts';
import type { AuditFileConfig, AuditHeadsConfig } from '../configured/audit.ts';
import type { Config } from '../configured/config.ts';
import type { ShipConfig } from '../configured/ship.ts';
import { backOff } from '../management/backoff.ts';
import { createRing } from '../management/ring.ts';
import type { Logger } from '../telemetry/log.ts';
import { readVersion } from '../version.ts';

/** Between two attempts to ship. */
const longestPauseMs = 30_000;

export interface OpenSinks extends AuditSinks {
  /** Whether the audit file can't be written at the moment. */
  isFailing(): boolean;
}

/**
 * @param app that counts what is lost; undefined until it is there
 * @throws ConfigError where the audit file can't be used
 */
export async function openSinks(config: Config['audit'], log: Logger, app: () => App | undefined): Promise<OpenSinks> {
  const failed = (sink: string, error: unknown): void => {
    app()?.auditFailed(sink);
    log.error({ err: error, sink }, 'an audit event could not be written');
  };
  const stdout =
    config.stdout || config.file?.heads?.stdout === true
      ? createStdoutSink((error) => failed('stdout', error))
      : undefined;
  const deliveries = config.file?.heads === undefined ? [] : openDeliveries(config.file.heads, stdout);
  const file = config.file && (await openFile(config.file));
  const told: AuditSink[] = [];
  if (stdout !== undefined && config.stdout) told.push(stdout);
  if (file !== undefined) told.push(file);
  told.push(...openShipping(config.ship));
  const sinks = createSinks(told, failed);
  return {
    ...sinks,
    isFailing: () => file?.isFailing() === true,
    async close() {
      await sinks.close();
      await Promise.all(deliveries.map((delivery) => delivery.close()));
      if (!config.stdout) await stdout?.close();
    },
  };

  function openFile(options: AuditFileConfig) {
    if (options.heads === undefined)
      log.warn('audit.heads is not set: a chain alone shows neither lines cut off at its end nor a file made anew');
    return openFileSink(options, {
      version: readVersion(),
      sendHead(line) {
        for (const delivery of deliveries) delivery.send(line);
      },
      events: {
        lost(lines, error) {
          app()?.auditFailed('file', lines);
          log.error({ err: error, lines }, 'lines of the audit file are lost');
        },
        unrecorded: () => app()?.auditUnrecorded(),
        failing: (error) =>
          log.error(
            { err: error, on_failure: options.onFailure },
            'the audit file can not be written; it is tried again',
          ),
        recovered: () => log.warn('the audit file can be written again'),
        notRotated: (error) =>
          log.error({ err: error }, 'the files of the audit log could not be put aside or deleted'),
        torn: (bytes, damagedLines) =>
          log.warn(
            { bytes, damaged_lines: damagedLines },
            'what an earlier run left behind the last whole audit line is cut off',
          ),
        removed: (files) => log.info({ files }, 'audit files that may not be kept any longer were deleted'),
      },
    });
  }

  function openShipping(ship: ShipConfig | undefined): readonly AuditSink[] {
    const parts = (sink: string): ShipParts => ({
      createQueue: createRing,
      pauseMs: (failures) => backOff(failures, longestPauseMs),
      events: {
        lost: (count) => app()?.auditFailed(sink, count),
        failing: (error) =>
          log.error({ err: error, sink }, 'records can not be shipped; they wait, and it is tried again'),
        recovered: (failures) => log.warn({ sink, failures }, 'records are shipped again'),
        refused: (error, count) =>
          log.error({ err: error, sink, lost: count }, 'records were not taken and are lost there'),
      },
    });
    return [
      ...(ship?.syslog === undefined ? [] : [createSyslogSink(ship.syslog, parts('syslog'))]),
      ...(ship?.otlp === undefined
        ? []
        : [createOtlpSink(ship.otlp, { version: readVersion(), host: hostname() }, parts('otlp'))]),
    ];
  }

  function openDeliveries(heads: AuditHeadsConfig, out: StdoutSink | undefined): readonly HeadDelivery[] {
    const deliver = (name: string, to: (line: string) => Promise<void>): HeadDelivery =>
      createHeadDelivery(to, (error, lost) => {
        app()?.auditFailed(name, Math.max(1, lost));
        log.error({ err: error, sink: name, lost }, 'a signed head of the audit file could not be delivered');
      });
    return [
      ...(heads.file === undefined ? [] : [deliver('heads_file', createFileDelivery(heads.file))]),
      ...(heads.url === undefined ? [] : [deliver('heads_url', createPostDelivery(heads.url, heads))]),
      ...(heads.stdout && out !== undefined ? [deliver('stdout', async (line) => out.writeLine(`${line}\n`))] : []),
    ];
  }
}
