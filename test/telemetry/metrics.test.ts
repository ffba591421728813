/** Metrics: the documented names and buckets, and labels that no caller can make. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { createMetrics, type MetricsOptions } from '../../src/telemetry/metrics.ts';
import type { Measures } from '../../src/types.ts';
import { auditEventOf } from '../audit/recording.ts';

function createTestMetrics(over: Partial<MetricsOptions> = {}) {
  const metrics = createMetrics({
    isListedModel: (model) => model === 'tiny',
    revision: () => 'r7',
    inFlight: () => 0,
    ...over,
  });
  const text = () => metrics.registry.metrics();
  return {
    metrics,
    text,
    /** The series of one name, each with its value. */
    async series(name: string): Promise<Record<string, string>> {
      const lines = (await text())
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
      return Object.fromEntries(
        lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]),
      );
    },
  };
}

const measures: Measures = { durationS: 3, firstByteS: 1, decisionS: 20e-6, overheadS: 400e-6, reasonLabel: '' };

const genAi = 'gen_ai_operation_name="chat",gen_ai_provider_name="ollama",gen_ai_request_model="tiny"';

test('a request that went well is in every metric that speaks of it', async () => {
  const { metrics, series } = createTestMetrics();
  metrics.observe(auditEventOf(), measures);
  assert.deepEqual(await series('opallama_requests_total'), {
    '{api="ollama",operation="chat",status="200",outcome="complete"}': '1',
  });
  assert.deepEqual(await series('opallama_decisions_total'), { '{result="allow",reason="",revision="r7"}': '1' });
  assert.deepEqual(await series('opallama_decision_duration_seconds_sum'), { '': '0.00002' });
  assert.deepEqual(await series('opallama_overhead_seconds_sum'), { '': '0.0004' });
  assert.deepEqual(await series('gen_ai_client_token_usage_sum'), {
    [`{${genAi},gen_ai_token_type="input"}`]: '10',
    [`{${genAi},gen_ai_token_type="output"}`]: '21',
  });
  assert.deepEqual(await series('gen_ai_server_request_duration_seconds_sum'), { [`{${genAi},error_type=""}`]: '3' });
  assert.deepEqual(await series('gen_ai_server_time_to_first_token_seconds_sum'), { [`{${genAi}}`]: '1' });
  // Two seconds for the twenty tokens behind the first.
  assert.deepEqual(await series('gen_ai_server_time_per_output_token_seconds_sum'), { [`{${genAi}}`]: '0.1' });
});

const documented: Readonly<Record<string, string>> = {
  opallama_requests_total: 'counter',
  opallama_decisions_total: 'counter',
  opallama_decision_duration_seconds: 'histogram',
  opallama_policy_loaded_revision_info: 'gauge',
  opallama_policy_reload_total: 'counter',
  opallama_requests_in_flight: 'gauge',
  opallama_shadow_decisions_total: 'counter',
  opallama_tls_certificate_expiry_timestamp_seconds: 'gauge',
  opallama_tls_handshake_failures_total: 'counter',
  opallama_identity_reload_total: 'counter',
  opallama_decision_log_events_total: 'counter',
  opallama_decision_log_waiting: 'gauge',
  opallama_management_requests_total: 'counter',
  opallama_tls_reload_total: 'counter',
  opallama_upstream_errors_total: 'counter',
  opallama_admin_requests_total: 'counter',
  opallama_build_info: 'gauge',
  opallama_workers: 'gauge',
  opallama_worker_deaths_total: 'counter',
  opallama_ready: 'gauge',
  opallama_event_loop_busy_seconds_total: 'counter',
  process_cpu_seconds_total: 'counter',
  process_resident_memory_bytes: 'gauge',
  process_start_time_seconds: 'gauge',
  opallama_audit_failures_total: 'counter',
  opallama_audit_unrecorded_total: 'counter',
  opallama_audit_file_failing: 'gauge',
  opallama_policy_rollout_percent: 'gauge',
  opallama_overhead_seconds: 'histogram',
  gen_ai_client_token_usage: 'histogram',
  gen_ai_server_request_duration_seconds: 'histogram',
  gen_ai_server_time_to_first_token_seconds: 'histogram',
  gen_ai_server_time_per_output_token_seconds: 'histogram',
};

test('names and types are the documented ones, all of them there from the start', async () => {
  const types = [...(await createTestMetrics().text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => [
    match[1],
    match[2],
  ]);
  assert.deepEqual(Object.fromEntries(types), documented);
});

/** OpenTelemetry, semantic conventions for generative AI, metrics: the boundaries that they advise. */
const buckets: Readonly<Record<string, readonly number[]>> = {
  gen_ai_client_token_usage: [
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
  ],
  gen_ai_server_request_duration_seconds: [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
  ],
  gen_ai_server_time_to_first_token_seconds: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  ],
  gen_ai_server_time_per_output_token_seconds: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
};

for (const [name, boundaries] of Object.entries(buckets)) {
  test(`${name} has the boundaries of the conventions`, async () => {
    const { metrics, series } = createTestMetrics();
    metrics.observe(auditEventOf(), measures);
    const found = Object.keys(await series(`${name}_bucket`)).map((labels) => /le="([^"]+)"/.exec(labels)?.[1]);
    assert.deepEqual([...new Set(found)], [...boundaries.map(String), '+Inf']);
  });
}

test('a model that the upstream does not list is other: a caller makes no series', async () => {
  const { metrics, series } = createTestMetrics();
  for (let i = 0; i < 200; i += 1)
    metrics.observe(auditEventOf({ model: `made-up-${i}`, request_id: `r${i}` }), measures);
  assert.deepEqual(Object.keys(await series('gen_ai_server_request_duration_seconds_count')), [
    '{gen_ai_operation_name="chat",gen_ai_provider_name="ollama",gen_ai_request_model="other",error_type=""}',
  ]);
});

test('nothing that a caller chose stands in any label', async () => {
  const { metrics, text } = createTestMetrics();
  const event = auditEventOf({
    request_id: 'canary',
    principal: 'canary',
    tenant: 'canary',
    agent_role: 'canary',
    model: 'canary',
    reasons: ['canary_code', 'canary'],
    finish_reason: 'canary',
    dynamic_metadata: { canary: 'canary' },
  });
  metrics.observe(event, measures);
  metrics.observe({ ...event, policy_result: 'deny', outcome: 'denied', status: 403 }, measures);
  assert.doesNotMatch(await text(), /canary/);
});

test('decisions are counted by the label of their reason, not by its code', async () => {
  const { metrics, series } = createTestMetrics();
  const event = auditEventOf({ policy_result: 'deny', outcome: 'denied', status: 403, reasons: ['made_up'] });
  metrics.observe(event, { ...measures, reasonLabel: 'policy_denied' });
  assert.deepEqual(await series('opallama_decisions_total'), {
    '{result="deny",reason="policy_denied",revision="r7"}': '1',
  });
});

test('a request that was refused before a decision has none', async () => {
  const { metrics, series } = createTestMetrics();
  const {
    operation: _o,
    target: _t,
    model: _m,
    revision: _r,
    ...event
  } = auditEventOf({
    api: 'gateway',
    policy_result: 'none',
    status: 404,
    error: 'unknown_route',
    outcome: 'denied',
  });
  metrics.observe(event, {
    durationS: 0.001,
    firstByteS: undefined,
    decisionS: undefined,
    overheadS: undefined,
    reasonLabel: '',
  });
  assert.deepEqual(await series('opallama_requests_total'), {
    '{api="gateway",operation="other",status="404",outcome="denied"}': '1',
  });
  for (const name of ['opallama_decisions_total', 'gen_ai_server_request_duration_seconds_count']) {
    assert.deepEqual(await series(name), {}, name);
  }
  assert.deepEqual(await series('opallama_decision_duration_seconds_count'), { '': '0' });
});

test('a failure of the upstream is counted by its target and code, and slows no model down', async () => {
  const { metrics, series } = createTestMetrics();
  const {
    input_tokens: _i,
    output_tokens: _o,
    ...event
  } = auditEventOf({
    status: 504,
    error: 'upstream_timeout',
    outcome: 'error',
    usage: 'unknown',
  });
  metrics.observe(event, { ...measures, firstByteS: undefined });
  metrics.observe({ ...event, status: 499, error: 'client_closed_request', outcome: 'aborted' }, measures);
  assert.deepEqual(await series('opallama_upstream_errors_total'), {
    '{target="http://127.0.0.1:11434",code="upstream_timeout"}': '1',
  });
  assert.deepEqual(await series('gen_ai_server_request_duration_seconds_count'), {
    [`{${genAi},error_type="upstream_timeout"}`]: '1',
    [`{${genAi},error_type="client_closed_request"}`]: '1',
  });
  assert.deepEqual(await series('gen_ai_server_time_to_first_token_seconds_count'), {});
  assert.deepEqual(await series('gen_ai_client_token_usage_count'), {});
});

test('operations without a model have no GenAI metrics', async () => {
  const { metrics, series } = createTestMetrics();
  metrics.observe(auditEventOf({ operation: 'models.list' }), measures);
  metrics.observe(auditEventOf({ operation: 'version' }), measures);
  assert.deepEqual(await series('gen_ai_server_request_duration_seconds_count'), {});
  metrics.observe(auditEventOf({ operation: 'generate' }), measures);
  assert.match(Object.keys(await series('gen_ai_server_request_duration_seconds_count')).join(), /"text_completion"/);
});

test('an answer of one token, or one that came whole, says nothing of the time for each', async () => {
  const { metrics, series } = createTestMetrics();
  metrics.observe(auditEventOf({ output_tokens: 1 }), measures);
  metrics.observe(auditEventOf({ output_tokens: 0 }), measures);
  assert.deepEqual(await series('gen_ai_server_time_per_output_token_seconds_count'), {});
  const whole = createTestMetrics();
  whole.metrics.observe(auditEventOf({ stream: false }), measures);
  assert.deepEqual(await whole.series('gen_ai_server_time_to_first_token_seconds_count'), {});
});

test('the revision that decides is told, and an old one is gone with its policy', async () => {
  let revision: string | undefined = 'r1';
  const { series } = createTestMetrics({ revision: () => revision });
  assert.deepEqual(await series('opallama_policy_loaded_revision_info'), {
    '{revision="r1",origin="configured"}': '1',
  });
  revision = 'r2';
  assert.deepEqual(await series('opallama_policy_loaded_revision_info'), {
    '{revision="r2",origin="configured"}': '1',
  });
  revision = undefined;
  assert.deepEqual(await series('opallama_policy_loaded_revision_info'), {});
});

test('requests in flight, failed audit writes and loads of a policy are counted', async () => {
  const { metrics, series } = createTestMetrics({ inFlight: () => 1 });
  metrics.auditFailed('stdout');
  metrics.policyReloaded('success');
  metrics.policyReloaded('failure');
  metrics.policyReloaded('failure');
  assert.deepEqual(await series('opallama_requests_in_flight'), { '': '1' });
  assert.deepEqual(await series('opallama_audit_failures_total'), {
    '{sink="record"}': '0',
    '{sink="stdout"}': '1',
    '{sink="file"}': '0',
    '{sink="syslog"}': '0',
    '{sink="otlp"}': '0',
  });
  assert.deepEqual(await series('opallama_policy_reload_total'), {
    '{result="success"}': '1',
    '{result="failure"}': '2',
  });
});

test('a policy that changes all the time makes no series for ever', async () => {
  const { metrics, series } = createTestMetrics();
  for (let number = 0; number < 100; number += 1) metrics.observe(auditEventOf({ revision: `r${number}` }), measures);
  // They are taken out behind the events.
  await setImmediate();
  const kept = Object.keys(await series('opallama_decisions_total'));
  assert.equal(kept.length, 20);
  assert.ok(kept.some((labels) => labels.includes('"r99"')));
});
