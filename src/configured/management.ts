/** What the configuration says of OPA's management APIs (docs/management.md). Types only; durations in ms, sizes in bytes. */
import type { BundleConfig, OpaConfig, SignatureConfig } from './policy.ts';
import type { UpstreamTls } from './tls.ts';

/** A control plane, as OPA's `services` has it. */
export interface ServiceConfig {
  readonly name: string;
  /** What the paths of its APIs are appended to; without a slash at its end. */
  readonly url: URL;
  readonly token: string | undefined;
  /** Where it came from, for `--print-config` and for reading it again. */
  readonly tokenSource: OpaConfig['tokenSource'];
  readonly tls: UpstreamTls | undefined;
  /** Plain HTTP to elsewhere than the loopback was asked for. */
  readonly allowHttp: boolean;
  /** For one request. */
  readonly timeout: number;
}

/** A bundle that a service has; policies name it. */
export interface NamedBundle {
  readonly name: string;
  readonly service: string;
  readonly resource: string;
  readonly bundle: BundleConfig;
}

export interface StatusConfig {
  readonly service: ServiceConfig;
  readonly partition: string | undefined;
  /** Between two reports where nothing changes. */
  readonly interval: number;
}

export interface DecisionLogConfig {
  readonly service: ServiceConfig;
  /** Path below the service's URL. */
  readonly resource: string;
  /** Of one upload, compressed. */
  readonly uploadSize: number;
  /** Events that wait at most. */
  readonly bufferEvents: number;
  /** Between two uploads; each time a value between the two. */
  readonly minDelay: number;
  readonly maxDelay: number;
  /** For what is left when the sidecar ends. */
  readonly shutdown: number;
}

export interface DiscoveryConfig {
  readonly service: string;
  readonly resource: string;
  readonly bundle: BundleConfig;
  /** Below `data`, with slashes; undefined for all of it. */
  readonly decision: string | undefined;
  /** Absolute; where the last good configuration is kept. */
  readonly stateDir: string;
  readonly signature: SignatureConfig | undefined;
}

export interface ManagementConfig {
  /** Stand in every report and event, beside `id` and `version`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly services: readonly ServiceConfig[];
  readonly bundles: readonly NamedBundle[];
  readonly status: StatusConfig | undefined;
  readonly decisionLogs: DecisionLogConfig | undefined;
  readonly discovery: DiscoveryConfig | undefined;
}
