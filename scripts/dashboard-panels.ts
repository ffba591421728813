/** What the Grafana dashboard shows: rows of panels, each a call with its queries. */

export interface Panel {
  readonly title: string;
  readonly kind: 'timeseries' | 'stat' | 'table';
  /** Of Grafana. */
  readonly unit: string;
  /** Of the 24 columns. */
  readonly width: number;
  readonly queries: ReadonlyArray<{ readonly expr: string; readonly legend: string }>;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

type Query = readonly [expr: string, legend: string];

const all = '{job=~"$job", instance=~"$instance"}';
const perSecond = (metric: string, labels = all): string => `rate(${metric}${labels}[$__rate_interval])`;
const quantile = (share: number, metric: string, by = ''): string =>
  `histogram_quantile(${share}, sum by (${by}le) (${perSecond(`${metric}_bucket`)}))`;
const quantiles = (metric: string): readonly Query[] => [
  [quantile(0.5, metric), 'p50'],
  [quantile(0.99, metric), 'p99'],
];
const byModel = 'gen_ai_request_model, ';

function panel(kind: Panel['kind'], width: number, title: string, unit: string, queries: readonly Query[]): Panel {
  return { kind, width, title, unit, queries: queries.map(([expr, legend]) => ({ expr, legend })) };
}
const stat = (title: string, unit: string, expr: string): Panel => panel('stat', 4, title, unit, [[expr, title]]);
const third = (title: string, unit: string, ...queries: readonly Query[]): Panel =>
  panel('timeseries', 8, title, unit, queries);
const half = (title: string, unit: string, ...queries: readonly Query[]): Panel =>
  panel('timeseries', 12, title, unit, queries);
const facts = (title: string, expr: string): Panel => panel('table', 12, title, 'none', [[expr, '']]);

export const rows: readonly Row[] = [
  {
    title: 'At a glance',
    panels: [
      stat('Ready', 'none', `sum(opallama_ready${all})`),
      stat('Requests', 'reqps', `sum(${perSecond('opallama_requests_total')})`),
      stat('In flight', 'none', `sum(opallama_requests_in_flight${all})`),
      stat('Denied', 'percentunit', 'max(opallama:decisions:deny_ratio5m{job=~"$job"})'),
      stat('Failed or cut', 'percentunit', 'max(opallama:requests:error_ratio5m{job=~"$job"})'),
      stat('Audit events lost', 'none', `sum(increase(opallama_audit_failures_total${all}[$__range]))`),
      facts('Policy in use', `sum by (instance, revision, origin) (opallama_policy_loaded_revision_info${all})`),
      facts('Versions', `sum by (instance, version, node) (opallama_build_info${all})`),
    ],
  },
  {
    title: 'Requests',
    panels: [
      third('By operation', 'reqps', [`sum by (operation) (${perSecond('opallama_requests_total')})`, '{{operation}}']),
      third('By outcome', 'reqps', [`sum by (outcome) (${perSecond('opallama_requests_total')})`, '{{outcome}}']),
      third('By status', 'reqps', [`sum by (status) (${perSecond('opallama_requests_total')})`, '{{status}}']),
    ],
  },
  {
    title: 'Policy',
    panels: [
      third('Decisions', 'ops', [`sum by (result) (${perSecond('opallama_decisions_total')})`, '{{result}}']),
      third('Denials by reason', 'ops', [
        `topk(10, sum by (reason) (${perSecond('opallama_decisions_total', all.replace('}', ', result="deny"}'))}))`,
        '{{reason}}',
      ]),
      third('Time of a decision', 's', ...quantiles('opallama_decision_duration_seconds')),
      third('Loads of a policy', 'none', [
        `sum by (result) (increase(opallama_policy_reload_total${all}[$__rate_interval]))`,
        '{{result}}',
      ]),
      third('Shadow', 'ops', [
        `sum by (shadow, result) (${perSecond('opallama_shadow_decisions_total')})`,
        '{{shadow}} {{result}}',
      ]),
      third('Rollouts', 'percent', [
        `max by (policy, revision) (opallama_policy_rollout_percent${all})`,
        '{{policy}} {{revision}}',
      ]),
    ],
  },
  {
    title: 'Models',
    panels: [
      half('Tokens a second', 'none', [
        `sum by (gen_ai_request_model, gen_ai_token_type) (${perSecond('gen_ai_client_token_usage_sum')})`,
        '{{gen_ai_request_model}} {{gen_ai_token_type}}',
      ]),
      half('Time to the first token, p95', 's', [
        quantile(0.95, 'gen_ai_server_time_to_first_token_seconds', byModel),
        '{{gen_ai_request_model}}',
      ]),
      half('Time for each token, p50', 's', [
        quantile(0.5, 'gen_ai_server_time_per_output_token_seconds', byModel),
        '{{gen_ai_request_model}}',
      ]),
      half('Time of a request, p95', 's', [
        quantile(0.95, 'gen_ai_server_request_duration_seconds', byModel),
        '{{gen_ai_request_model}}',
      ]),
    ],
  },
  {
    title: 'The sidecar and its neighbours',
    panels: [
      third('Overhead, to the hand-over to Ollama', 's', ...quantiles('opallama_overhead_seconds')),
      third('Errors of the upstream', 'ops', [
        `sum by (target, code) (${perSecond('opallama_upstream_errors_total')})`,
        '{{target}} {{code}}',
      ]),
      third('Event loop at work', 'percentunit', [
        `${perSecond('opallama_event_loop_busy_seconds_total')} / opallama_workers${all}`,
        '{{instance}}',
      ]),
      third('CPU, cores', 'none', [perSecond('process_cpu_seconds_total'), '{{instance}}']),
      third('Memory', 'bytes', [`process_resident_memory_bytes${all}`, '{{instance}}']),
      third('Certificates', 'd', [
        `min by (connection) (opallama_tls_certificate_expiry_timestamp_seconds${all} - time()) / 86400`,
        '{{connection}}',
      ]),
      half('Failed TLS handshakes', 'ops', [
        `sum by (reason) (${perSecond('opallama_tls_handshake_failures_total')})`,
        '{{reason}}',
      ]),
      half('Admin requests', 'ops', [
        `sum by (endpoint, status) (${perSecond('opallama_admin_requests_total')})`,
        '{{endpoint}} {{status}}',
      ]),
    ],
  },
];

/** Every query, as Grafana asks it. */
export const dashboardQueries: readonly string[] = rows.flatMap(({ panels }) =>
  panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)),
);
