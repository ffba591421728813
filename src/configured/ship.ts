/** What the configuration says of shipping records elsewhere (docs/audit.md). Types only; durations in ms. */
import type { OpaConfig } from './policy.ts';
import type { UpstreamTls } from './tls.ts';

/** Where a syslog receiver listens. */
export type SyslogTarget =
  | { readonly transport: 'tcp' | 'tls' | 'udp'; readonly host: string; readonly port: number }
  /** A stream socket. */
  | { readonly transport: 'unix'; readonly path: string };

export interface SyslogConfig {
  readonly target: SyslogTarget;
  readonly tls: UpstreamTls | undefined;
  /** As it is written, for `--print-config`. */
  readonly url: string;
  readonly facility: { readonly name: string; readonly code: number };
  /** Of the sender, in each message. */
  readonly hostname: string;
  /** Records that wait at most. */
  readonly bufferEvents: number;
  /** Unsecured to elsewhere than this machine was asked for. */
  readonly allowPlain: boolean;
}

export interface OtlpConfig {
  /** With the path of the signal. */
  readonly url: URL;
  readonly token: string | undefined;
  /** Where it came from, for `--print-config` and for reading it again. */
  readonly tokenSource: OpaConfig['tokenSource'];
  readonly tls: UpstreamTls | undefined;
  /** Beside `service.name` and the like. */
  readonly resource: Readonly<Record<string, string>>;
  readonly bufferEvents: number;
  readonly timeout: number;
  readonly allowPlain: boolean;
}

export interface ShipConfig {
  readonly syslog: SyslogConfig | undefined;
  readonly otlp: OtlpConfig | undefined;
}
