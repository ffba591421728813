/**
 * Metrics for Prometheus, under the names of OpenTelemetry's GenAI conventions where they have one (semantic conventions
 * 1.37, GenAI metrics, with their own buckets) and `opallama_*` elsewhere.
 *
 * A caller must not be able to make a series: every label's value comes from the configuration, from a fixed set, from
 * codes that the policy declares, or from the upstream's own list of models. Everything else is `other`.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { AuditEvent, AuditOperation, Measures, ShadowResult } from '../types.ts';
import { bucketOf, createExemplars, type Exemplar, type Labels } from './exemplars.ts';
import { openMetricsType, renderOpenMetrics, wantsOpenMetrics } from './open-metrics.ts';
import { type OtherProcesses, registerProcessMetrics } from './process-metrics.ts';

export interface MetricsOptions {
  /** Of this package; unknown by default. */
  readonly version?: string;
  /** That serve in the place of this process; none by default. */
  readonly workers?: () => OtherProcesses | undefined;
  /** Whether the upstream lists this model; canonical short name. */
  readonly isListedModel: (model: string) => boolean;
  readonly revision: () => string | undefined;
  /** `kept` where a policy of an earlier run decides; `configured` by default. */
  readonly policyOrigin?: () => 'configured' | 'kept';
  /** Revisions that decide for a share of the callers; none by default. */
  readonly rollouts?: () => Iterable<Rollout>;
  /** Whose keys are asked for; none by default. */
  readonly issuers?: readonly string[];
  /** Requests that have not ended. */
  readonly inFlight: () => number;
  /** Whether the audit file can't be written; never by default. */
  readonly isAuditFailing?: () => boolean;
  /** Decisions that were not sent to a decision log yet; 0 by default. */
  readonly decisionsWaiting?: () => number;
  /** As `/readyz` answers; ready by default. */
  readonly ready?: () => boolean;
  /** When the own certificate of each secured connection expires, Unix time in ms; none by default. */
  readonly certificateExpiries?: () => Iterable<readonly [connection: string, expiresMs: number]>;
}

export interface Rollout {
  readonly policy: string;
  readonly revision: string;
  readonly percent: number;
}

export interface Metrics {
  readonly registry: Registry;
  /**
   * All of them as text.
   *
   * @param accept of who asks: OpenMetrics, which has exemplars, for who takes it
   */
  expose(accept: string | undefined): Promise<{ readonly type: string; readonly text: string }>;
  observe(event: AuditEvent, measures: Measures): void;
  /** @param sink of a fixed set @param events that it did not keep */
  auditFailed(sink: string, events?: number): void;
  /** A request went on although the audit file could not take its line. */
  auditUnrecorded(): void;
  policyReloaded(result: 'success' | 'failure'): void;
  /** @param shadow its name in the configuration */
  shadowDecided(shadow: string, result: ShadowResult): void;
  /** @param reason of a fixed set */
  handshakeFailed(reason: string): void;
  /** @param endpoint of the table of endpoints, or `other` */
  adminAnswered(endpoint: string, status: number): void;
  /** @param issuer one of the configuration; empty for a file */
  identityReloaded(source: string, issuer: string, result: 'success' | 'failure'): void;
  tlsReloaded(connection: 'listener' | 'upstream', result: 'success' | 'failure'): void;
  /** @param result of a fixed set */
  decisionsLogged(result: string, count: number): void;
  /** @param api of a fixed set */
  controlPlaneAsked(api: 'status' | 'decision_logs' | 'discovery', result: 'success' | 'failure'): void;
}

const other = 'other';
/** Revisions that decisions are counted by at a time. */
const mostRevisions = 20;

/** OpenTelemetry's names of operations; those without one keep ours. */
const genAiOperations: Readonly<Partial<Record<AuditOperation, string>>> = {
  chat: 'chat',
  generate: 'text_completion',
};

const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
const durationBuckets = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const firstTokenBuckets = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const perTokenBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const decisionBuckets = [0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.005, 0.025, 0.1, 1];
const overheadBuckets = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25];

const genAiLabels = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const;

type GenAiLabels = Readonly<Record<(typeof genAiLabels)[number], string>>;

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];

  const requests = new Counter({
    name: 'opallama_requests_total',
    help: 'Requests that ended, by how they ended.',
    labelNames: ['api', 'operation', 'status', 'outcome'],
    registers,
  });
  const decisions = new Counter({
    name: 'opallama_decisions_total',
    help: 'Decisions of the policy; reason is a declared code, or policy_denied for any other text.',
    labelNames: ['result', 'reason', 'revision'],
    registers,
  });
  const decisionDuration = new Histogram({
    name: 'opallama_decision_duration_seconds',
    help: 'Time that the engine took for a decision.',
    buckets: decisionBuckets,
    registers,
  });
  const overhead = new Histogram({
    name: 'opallama_overhead_seconds',
    help: 'Time from the head of a request to its hand-over to the upstream, without the wait for its body.',
    buckets: overheadBuckets,
    registers,
  });
  new Gauge({
    name: 'opallama_requests_in_flight',
    help: 'Requests that have not ended.',
    registers,
    collect() {
      this.set(options.inFlight());
    },
  });
  new Gauge({
    name: 'opallama_ready',
    help: '1 where /readyz answers 200, else 0.',
    registers,
    collect() {
      this.set((options.ready?.() ?? true) ? 1 : 0);
    },
  });
  const upstreamErrors = new Counter({
    name: 'opallama_upstream_errors_total',
    help: 'Requests that failed because of the upstream.',
    labelNames: ['target', 'code'],
    registers,
  });
  const auditFailures = new Counter({
    name: 'opallama_audit_failures_total',
    help: 'Audit events and signed heads that were not written, by what should have kept them.',
    labelNames: ['sink'],
    registers,
  });
  const auditUnrecorded = new Counter({
    name: 'opallama_audit_unrecorded_total',
    help: 'Requests that were forwarded while the audit file could not be written.',
    registers,
  });
  new Gauge({
    name: 'opallama_audit_file_failing',
    help: '1 while the audit file can not be written.',
    registers,
    collect() {
      this.set(options.isAuditFailing?.() === true ? 1 : 0);
    },
  });
  const shadowDecisions = new Counter({
    name: 'opallama_shadow_decisions_total',
    help: 'Requests that a shadow was to be asked about, by how it agrees with what decided.',
    labelNames: ['shadow', 'result'],
    registers,
  });
  const reloads = new Counter({
    name: 'opallama_policy_reload_total',
    help: 'Loads of a policy, the first one included.',
    labelNames: ['result'],
    registers,
  });
  const identityReloads = new Counter({
    name: 'opallama_identity_reload_total',
    help: 'Questions to an issuer for its keys, and changes of files with keys.',
    labelNames: ['source', 'issuer', 'result'],
    registers,
  });
  const tlsReloads = new Counter({
    name: 'opallama_tls_reload_total',
    help: 'Changes of the files of certificates.',
    labelNames: ['connection', 'result'],
    registers,
    collect() {
      for (const [connection] of options.certificateExpiries?.() ?? [])
        for (const result of ['success', 'failure'] as const) this.inc({ connection, result }, 0);
    },
  });
  new Gauge({
    name: 'opallama_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use expires, Unix time.',
    labelNames: ['connection'],
    registers,
    collect() {
      this.reset();
      for (const [connection, expiresMs] of options.certificateExpiries?.() ?? [])
        this.set({ connection }, expiresMs / 1000);
    },
  });
  const handshakeFailures = new Counter({
    name: 'opallama_tls_handshake_failures_total',
    help: 'Connections to the data listener that ended before they were secured.',
    labelNames: ['reason'],
    registers,
  });
  const adminRequests = new Counter({
    name: 'opallama_admin_requests_total',
    help: 'Requests to the admin listener; endpoint is other where the caller is not known.',
    labelNames: ['endpoint', 'status'],
    registers,
  });
  const decisionLogEvents = new Counter({
    name: 'opallama_decision_log_events_total',
    help: 'Decisions for the decision log, by what became of them.',
    labelNames: ['result'],
    registers,
  });
  new Gauge({
    name: 'opallama_decision_log_waiting',
    help: 'Decisions that were not sent to the decision log yet.',
    registers,
    collect() {
      this.set(options.decisionsWaiting?.() ?? 0);
    },
  });
  const managementRequests = new Counter({
    name: 'opallama_management_requests_total',
    help: 'Reports, uploads and discovered configurations, by how they went.',
    labelNames: ['api', 'result'],
    registers,
  });
  new Gauge({
    name: 'opallama_policy_loaded_revision_info',
    help: '1 for the revision that decides.',
    labelNames: ['revision', 'origin'],
    registers,
    collect() {
      this.reset();
      const revision = options.revision();
      const origin = options.policyOrigin?.() ?? 'configured';
      if (revision !== undefined) this.set({ revision, origin }, 1);
    },
  });
  new Gauge({
    name: 'opallama_policy_rollout_percent',
    help: 'Share of the callers that a revision decides for while it is rolled out.',
    labelNames: ['policy', 'revision'],
    registers,
    collect() {
      this.reset();
      for (const { policy, revision, percent } of options.rollouts?.() ?? []) this.set({ policy, revision }, percent);
    },
  });
  const tokens = new Histogram({
    name: 'gen_ai_client_token_usage',
    help: 'Tokens of a request, by type.',
    labelNames: [...genAiLabels, 'gen_ai_token_type'],
    buckets: tokenBuckets,
    registers,
  });
  const duration = new Histogram({
    name: 'gen_ai_server_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labelNames: [...genAiLabels, 'error_type'],
    buckets: durationBuckets,
    registers,
  });
  const firstToken = new Histogram({
    name: 'gen_ai_server_time_to_first_token_seconds',
    help: 'Time from the head of a request to the first byte of a successful answer.',
    labelNames: genAiLabels,
    buckets: firstTokenBuckets,
    registers,
  });
  const perToken = new Histogram({
    name: 'gen_ai_server_time_per_output_token_seconds',
    help: 'Time for each output token after the first, of successful answers.',
    labelNames: genAiLabels,
    buckets: perTokenBuckets,
    registers,
  });

  // What is not there before its first time is missed by who looks for an increase.
  for (const result of ['success', 'failure'] as const) reloads.inc({ result }, 0);
  const identitySources: ReadonlyArray<readonly [source: string, issuer: string]> = [
    ...['jwt_keys', 'api_keys', 'revocations', 'clients', 'kubernetes_keys'].map((source) => [source, ''] as const),
    ...(options.issuers ?? []).map((issuer) => ['issuer', issuer] as const),
  ];
  for (const [source, issuer] of identitySources)
    for (const result of ['success', 'failure'] as const) identityReloads.inc({ source, issuer, result }, 0);
  for (const sink of ['record', 'stdout', 'file', 'syslog', 'otlp']) auditFailures.inc({ sink }, 0);
  for (const result of ['mask_failed', 'buffer_full', 'too_large', 'refused', 'lost'] as const)
    decisionLogEvents.inc({ result }, 0);
  registerProcessMetrics(registry, options.version ?? 'unknown', options.workers ?? (() => undefined));
  const exemplars = createExemplars();
  /** What to name the request by that is being counted, if it is one to point at. */
  let pointing: Exemplar['labels'] | undefined;

  /** Those that have decided lately: a policy that changes every minute must not make series for ever. */
  const revisions = new Set<string>();

  return {
    registry,
    async expose(accept) {
      if (!wantsOpenMetrics(accept)) return { type: registry.contentType, text: await registry.metrics() };
      exemplars.wanted();
      return { type: openMetricsType, text: renderOpenMetrics(await registry.getMetricsAsJSON(), exemplars.find) };
    },
    auditFailed: (sink, events = 1) => auditFailures.inc({ sink }, events),
    auditUnrecorded: () => auditUnrecorded.inc(),
    policyReloaded: (result) => reloads.inc({ result }),
    shadowDecided: (shadow, result) => shadowDecisions.inc({ shadow, result }),
    identityReloaded: (source, issuer, result) => identityReloads.inc({ source, issuer, result }),
    tlsReloaded: (connection, result) => tlsReloads.inc({ connection, result }),
    decisionsLogged: (result, count) => decisionLogEvents.inc({ result }, count),
    controlPlaneAsked: (api, result) => managementRequests.inc({ api, result }),
    adminAnswered: (endpoint, status) => adminRequests.inc({ endpoint, status }),
    handshakeFailed: (reason) => handshakeFailures.inc({ reason }),
    observe(event, measures) {
      pointing = exemplars.choose(event, measures);
      requests.inc({
        api: event.api,
        operation: event.operation ?? other,
        status: event.status,
        outcome: event.outcome,
      });
      if (measures.decisionS !== undefined) {
        decisionDuration.observe(measures.decisionS);
        point('opallama_decision_duration_seconds', {}, measures.decisionS, decisionBuckets);
        const revision = event.revision ?? other;
        if (!revisions.has(revision)) admit(revision);
        const labels = { result: event.policy_result, reason: measures.reasonLabel, revision };
        decisions.inc(labels);
        point('opallama_decisions_total', labels, 1);
      }
      if (measures.overheadS !== undefined) {
        overhead.observe(measures.overheadS);
        point('opallama_overhead_seconds', {}, measures.overheadS, overheadBuckets);
      }
      if (event.target !== undefined && event.error?.startsWith('upstream_') === true) {
        const labels = { target: event.target, code: event.error };
        upstreamErrors.inc(labels);
        point('opallama_upstream_errors_total', labels, 1);
      }
      observeGenAi(event, measures);
    },
  };

  function admit(revision: string): void {
    revisions.add(revision);
    const [oldest] = revisions;
    if (revisions.size <= mostRevisions || oldest === undefined) return;
    revisions.delete(oldest);
    void decisions.get().then(({ values }) => {
      if (revisions.has(oldest)) return;
      for (const { labels } of values) if (labels.revision === oldest) decisions.remove(labels);
    });
  }

  function observeGenAi(event: AuditEvent, measures: Measures): void {
    const operation = event.operation && genAiOperations[event.operation];
    if (operation === undefined || event.target === undefined) return;
    const labels = {
      gen_ai_operation_name: operation,
      gen_ai_provider_name: event.provider,
      gen_ai_request_model: event.model !== undefined && options.isListedModel(event.model) ? event.model : other,
    };
    const failed = event.outcome === 'complete' && event.status < 400 ? '' : (event.error ?? event.outcome);
    const ended = { ...labels, error_type: failed };
    duration.observe(ended, measures.durationS);
    point('gen_ai_server_request_duration_seconds', ended, measures.durationS, durationBuckets);
    if (event.input_tokens !== undefined) countTokens(labels, 'input', event.input_tokens);
    if (event.output_tokens !== undefined) countTokens(labels, 'output', event.output_tokens);
    if (failed !== '' || measures.firstByteS === undefined || event.stream !== true) return;
    firstToken.observe(labels, measures.firstByteS);
    point('gen_ai_server_time_to_first_token_seconds', labels, measures.firstByteS, firstTokenBuckets);
    if (event.output_tokens !== undefined && event.output_tokens > 1) {
      const each = (measures.durationS - measures.firstByteS) / (event.output_tokens - 1);
      perToken.observe(labels, each);
      point('gen_ai_server_time_per_output_token_seconds', labels, each, perTokenBuckets);
    }
  }

  function countTokens(of: GenAiLabels, type: 'input' | 'output', count: number): void {
    const labels = { ...of, gen_ai_token_type: type };
    tokens.observe(labels, count);
    point('gen_ai_client_token_usage', labels, count, tokenBuckets);
  }

  /** @param boundaries of a histogram; none for a counter */
  function point(metric: string, labels: Labels, value: number, boundaries?: readonly number[]): void {
    if (pointing === undefined) return;
    const place = boundaries === undefined ? '' : bucketOf(boundaries, value);
    exemplars.keep(metric, labels, place, { labels: pointing, value, timeS: Date.now() / 1000 });
  }
}
