/**
 * What OPA's status API is told (OPA's docs: management API, status; in its source `UpdateRequestV1` of
 * `v1/plugins/status` and `Status` of `v1/plugins/bundle`). Types, and how a time is written that never was.
 */

/** Of one bundle. Members as OPA spells and orders them. */
export interface BundleStatus {
  readonly name: string;
  readonly active_revision?: string | undefined;
  readonly last_successful_activation: string;
  readonly type?: 'snapshot' | undefined;
  /** Of what was downloaded, bytes. */
  readonly size?: number | undefined;
  readonly last_successful_download: string;
  readonly last_successful_request: string;
  readonly last_request: string;
  readonly code?: 'bundle_error' | undefined;
  readonly message?: string | undefined;
  readonly errors?: readonly BundleFault[] | undefined;
  readonly http_code?: number | undefined;
}

export interface BundleFault {
  readonly code: string;
  readonly message: string;
  readonly location: { readonly file: string; readonly row: number; readonly col: number };
}

export interface DecisionLogsStatus {
  readonly code?: 'decision_log_error' | undefined;
  readonly message?: string | undefined;
  readonly http_code?: number | undefined;
}

export interface PluginStatus {
  readonly state: 'OK' | 'NOT_READY' | 'ERROR';
  readonly message?: string | undefined;
}

export interface StatusDocument {
  readonly labels: Readonly<Record<string, string>>;
  readonly bundles: Readonly<Record<string, BundleStatus>>;
  readonly discovery?: BundleStatus | undefined;
  readonly decision_logs?: DecisionLogsStatus | undefined;
  readonly metrics?: Readonly<Record<string, Readonly<Record<string, number>>>> | undefined;
  readonly plugins: Readonly<Record<string, PluginStatus>>;
}

/** Go's zero time, which OPA writes for what never happened. */
const never = '0001-01-01T00:00:00Z';

/** @param ms Unix time */
export function writeTime(ms: number | undefined): string {
  return ms === undefined ? never : new Date(ms).toISOString();
}
