import { hostname } from 'node:os';
import type { z } from 'zod';
import type { OtlpConfig, ShipConfig, SyslogConfig } from '../configured/ship.ts';
import type { UpstreamTls } from '../configured/tls.ts';
import { valueAt } from './layers.ts';
import { loadToken } from './opa.ts';
import type { PolicySources } from './policies.ts';
import { printDuration } from './print-units.ts';
import type { otlp, syslog } from './ship-schema.ts';
import { type LoadedTls, loadTls, upstreamTlsFiles } from './tls.ts';

export interface ShipSections {
  readonly syslog?: z.output<typeof syslog> | undefined;
  readonly otlp?: z.output<typeof otlp> | undefined;
}

/** Completes the sections with what they refer to. Faults are reported. */
export function loadShipping(sections: ShipSections, sources: PolicySources): ShipConfig {
  return {
    syslog: sections.syslog && loadSyslog(sections.syslog, sources),
    otlp: sections.otlp && loadOtlp(sections.otlp, sources),
  };
}

function loadSyslog(section: NonNullable<ShipSections['syslog']>, sources: PolicySources): SyslogConfig {
  const { url, tls, facility, hostname: own, buffer_events: bufferEvents, allow_plain: allowPlain } = section;
  const loaded = loadTlsAt(['audit', 'syslog'], sources);
  return { ...url, tls: unite(tls, loaded), facility, hostname: own ?? hostname(), bufferEvents, allowPlain };
}

function loadOtlp(section: NonNullable<ShipSections['otlp']>, sources: PolicySources): OtlpConfig {
  const at = ['audit', 'otlp'];
  const { url, tls, resource, buffer_events: bufferEvents, timeout, allow_plain: allowPlain } = section;
  if (section.token_env !== undefined && section.token_file !== undefined)
    sources.report([...at, 'token_file'], 'one of them; remove it or token_env');
  const token = loadToken(valueAt(sources.tree, at), {
    ...sources,
    directory: (member) => sources.directory([...at, ...member]),
    report: (member, text) => sources.report([...at, ...member], text),
  });
  return { url, ...token, tls: unite(tls, loadTlsAt(at, sources)), resource, bufferEvents, timeout, allowPlain };
}

function loadTlsAt(at: readonly string[], sources: PolicySources): LoadedTls | undefined {
  return loadTls(valueAt(sources.tree, [...at, 'tls']), upstreamTlsFiles, {
    readFile: sources.readFile,
    directory: (member) => sources.directory([...at, 'tls', member]),
    report: (member, text) => sources.report([...at, 'tls', member], text),
  });
}

function unite(
  section: { readonly serverName: string | undefined } | undefined,
  loaded: LoadedTls | undefined,
): UpstreamTls | undefined {
  return section && loaded && { ...section, ...loaded };
}

/** The sections as they are loaded again. @param printTls as for every other connection */
export function printShipping(
  { syslog: log, otlp: collector }: ShipConfig,
  printTls: (tls: UpstreamTls) => unknown,
): Record<string, unknown> {
  return {
    ...(log && {
      syslog: {
        url: log.url,
        ...(log.tls && { tls: printTls(log.tls) }),
        facility: log.facility.name,
        hostname: log.hostname,
        buffer_events: log.bufferEvents,
        allow_plain: log.allowPlain,
      },
    }),
    ...(collector && {
      otlp: {
        url: collector.url.href,
        ...(collector.tokenSource && { [collector.tokenSource.member]: collector.tokenSource.value }),
        ...(collector.tls && { tls: printTls(collector.tls) }),
        resource: collector.resource,
        buffer_events: collector.bufferEvents,
        timeout: printDuration(collector.timeout),
        allow_plain: collector.allowPlain,
      },
    }),
  };
}
