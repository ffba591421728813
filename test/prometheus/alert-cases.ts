/** For each alert a world in which it fires, and the same world a little better, in which it does not. Minutes and values. */

export interface AlertCase {
  readonly series: (isBad: boolean) => Readonly<Record<string, string>>;
  /** When it is looked at. */
  readonly at: string;
  /** Of the alert that fires, beside its severity. */
  readonly labels: Readonly<Record<string, string>>;
}

const job = { job: 'opallama' };
const instance = { ...job, instance: 'a' };
const at = 'job="opallama",instance="a"';

/** A histogram of which one observation in fifty is as slow as `slow`, and the others as fast as `fast`. */
function histogram(name: string, labels: string, [fast, slow]: readonly [string, string]): Record<string, string> {
  return {
    [`${name}_bucket{${labels},le="${fast}"}`]: '0+98x60',
    [`${name}_bucket{${labels},le="${slow}"}`]: '0+100x60',
    [`${name}_bucket{${labels},le="+Inf"}`]: '0+100x60',
  };
}

/** So much of all in a minute, and so much of that of one kind. */
const shares = (metric: string, kinds: Readonly<Record<string, number>>): Record<string, string> =>
  Object.fromEntries(Object.entries(kinds).map(([kind, each]) => [`${metric}{${at},${kind}}`, `0+${each}x60`]));

export const alertCases: Readonly<Record<string, AlertCase>> = {
  OpallamaDown: { at: '5m', labels: instance, series: (isBad) => ({ [`up{${at}}`]: isBad ? '0x10' : '1x10' }) },
  OpallamaNotReady: {
    at: '5m',
    labels: instance,
    series: (isBad) => ({ [`opallama_ready{${at}}`]: isBad ? '0x10' : '0 1x10' }),
  },
  OpallamaRestarts: {
    at: '30m',
    labels: instance,
    series: (isBad) => ({
      [`process_start_time_seconds{${at}}`]: isBad ? '1x9 2x9 3x5 4x9' : '1x9 2x9 3x15',
    }),
  },
  OpallamaWorkersDie: {
    at: '30m',
    labels: instance,
    series: (isBad) => ({ [`opallama_worker_deaths_total{${at}}`]: isBad ? '0x9 2x9 4x20' : '0x9 1x9 2x20' }),
  },
  OpallamaAuditLost: {
    at: '10m',
    labels: instance,
    series: (isBad) => ({ [`opallama_audit_failures_total{${at}}`]: isBad ? '0x7 2x10' : '5x20' }),
  },
  OpallamaAuditFileFailing: {
    at: '5m',
    labels: instance,
    series: (isBad) => ({ [`opallama_audit_file_failing{${at}}`]: isBad ? '1x10' : '1x1 0x10' }),
  },
  OpallamaDecisionLogLost: {
    at: '10m',
    labels: instance,
    series: (isBad) =>
      shares('opallama_decision_log_events_total', { [`result="${isBad ? 'buffer_full' : 'uploaded'}"`]: 1 }),
  },
  OpallamaPolicyRefused: {
    at: '10m',
    labels: instance,
    series: (isBad) =>
      shares('opallama_policy_reload_total', { 'result="success"': 1, 'result="failure"': isBad ? 1 : 0 }),
  },
  OpallamaKeptPolicyDecides: {
    at: '20m',
    labels: { ...instance, revision: 'r1', origin: 'kept' },
    series: (isBad) => ({
      [`opallama_policy_loaded_revision_info{${at},revision="r1",origin="${isBad ? 'kept' : 'configured'}"}`]: '1x30',
    }),
  },
  OpallamaPolicyFails: {
    at: '10m',
    labels: job,
    series: (isBad) => shares('opallama_decisions_total', { 'result="allow"': 1000, 'result="error"': isBad ? 20 : 5 }),
  },
  OpallamaDenials: {
    at: '20m',
    labels: job,
    series: (isBad) => shares('opallama_decisions_total', { 'result="allow"': 100, 'result="deny"': isBad ? 120 : 80 }),
  },
  OpallamaErrors: {
    at: '20m',
    labels: job,
    series: (isBad) =>
      shares('opallama_requests_total', { 'outcome="complete"': 100, 'outcome="error"': isBad ? 10 : 3 }),
  },
  OpallamaUpstreamFails: {
    at: '12m',
    labels: job,
    series: (isBad) => ({
      ...shares('opallama_requests_total', { 'outcome="complete"': 100 }),
      ...shares('opallama_upstream_errors_total', { 'code="upstream_reset"': isBad ? 10 : 3 }),
    }),
  },
  OpallamaOverloaded: {
    at: '12m',
    labels: instance,
    series: (isBad) => shares('opallama_requests_total', { 'status="503"': isBad ? 60 : 3 }),
  },
  OpallamaSlowDecisions: {
    at: '20m',
    labels: job,
    series: (isBad) => histogram('opallama_decision_duration_seconds', at, ['0.001', isBad ? '0.1' : '0.005']),
  },
  OpallamaOverhead: {
    at: '20m',
    labels: job,
    series: (isBad) => histogram('opallama_overhead_seconds', at, ['0.01', isBad ? '0.25' : '0.05']),
  },
  OpallamaBusy: {
    at: '20m',
    labels: instance,
    series: (isBad) => ({
      [`opallama_event_loop_busy_seconds_total{${at}}`]: isBad ? '0+116x60' : '0+60x60',
      // What would be too much for one is not for two.
      [`opallama_workers{${at}}`]: '2x60',
    }),
  },
  OpallamaSlowFirstToken: {
    at: '30m',
    labels: { ...job, gen_ai_request_model: 'tiny' },
    series: (isBad) => ({
      [`gen_ai_server_time_to_first_token_seconds_bucket{${at},gen_ai_request_model="tiny",le="7.5"}`]: isBad
        ? '0+5x60'
        : '0+99x60',
      [`gen_ai_server_time_to_first_token_seconds_bucket{${at},gen_ai_request_model="tiny",le="10"}`]: '0+100x60',
      [`gen_ai_server_time_to_first_token_seconds_bucket{${at},gen_ai_request_model="tiny",le="+Inf"}`]: '0+100x60',
    }),
  },
  OpallamaCertificateExpires: {
    at: '5m',
    labels: { ...instance, connection: 'listener' },
    // Time begins at 0 here.
    series: (isBad) => ({
      [`opallama_tls_certificate_expiry_timestamp_seconds{${at},connection="listener"}`]: `${86400 * (isBad ? 13 : 15)}x10`,
    }),
  },
  OpallamaCertificateRefused: {
    at: '10m',
    labels: { ...instance, connection: 'listener' },
    series: (isBad) =>
      shares('opallama_tls_reload_total', { [`connection="listener",result="${isBad ? 'failure' : 'success'}"`]: 1 }),
  },
  OpallamaKeysRefused: {
    at: '20m',
    labels: { ...instance, source: 'issuer', issuer: 'https://id.example' },
    series: (isBad) =>
      shares('opallama_identity_reload_total', {
        [`source="issuer",issuer="https://id.example",result="${isBad ? 'failure' : 'success'}"`]: 1,
      }),
  },
  OpallamaAdminRefused: {
    at: '10m',
    labels: instance,
    series: (isBad) => shares('opallama_admin_requests_total', { 'endpoint="other",status="401"': isBad ? 4 : 1 }),
  },
  OpallamaShadowDisagrees: {
    at: '40m',
    labels: { ...job, shadow: 'next' },
    series: (isBad) =>
      shares('opallama_shadow_decisions_total', {
        'shadow="next",result="agree"': 1000,
        'shadow="next",result="newly_denied"': isBad ? 20 : 5,
      }),
  },
};
