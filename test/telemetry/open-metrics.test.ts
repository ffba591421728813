/** OpenMetrics for who takes it, with exemplars that lead from a bucket to a request; the older text for all others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bucketOf, createExemplars } from '../../src/telemetry/exemplars.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { wantsOpenMetrics } from '../../src/telemetry/open-metrics.ts';
import type { AuditEvent, Measures } from '../../src/types.ts';
import { auditEventOf } from '../audit/recording.ts';

const open = 'application/openmetrics-text; version=1.0.0';
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

const event = auditEventOf({ request_id: 'r-1', trace_id: traceId });
const measures: Measures = { durationS: 3, firstByteS: 1, decisionS: 20e-6, overheadS: 400e-6, reasonLabel: '' };

const testMetrics = () =>
  createMetrics({ isListedModel: () => true, revision: () => 'r7', inFlight: () => 2, version: '1.2.3' });

for (const [accept, wanted] of [
  // As Prometheus 2.42 and 3 ask.
  [
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    true,
  ],
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    true,
  ],
  ['text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.1', false],
  ['application/openmetrics-text; version=9.0.0', false],
  ['application/openmetrics-text;q=0', false],
  ['application/openmetrics-text;q=nonsense', false],
  ['*/*', false],
  ['', false],
  [undefined, false],
] as const) {
  test(`${accept} gets ${wanted ? 'OpenMetrics' : 'the older text'}`, () =>
    assert.equal(wantsOpenMetrics(accept), wanted));
}

test('counters are named as OpenMetrics wants them, and in the older text as ever', async () => {
  const metrics = testMetrics();
  metrics.observe(event, measures);
  const { type, text } = await metrics.expose(open);
  assert.equal(type, 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  assert.match(text, /^# TYPE opallama_requests counter$/m);
  assert.match(text, /^opallama_requests_total\{api="ollama",operation="chat",status="200",outcome="complete"\} 1/m);
  assert.match(text, /^gen_ai_client_token_usage_bucket\{le="4\.0",.*\} 0$/m);
  assert.match(text, /^gen_ai_client_token_usage_bucket\{le="\+Inf",.*gen_ai_token_type="input"\} 1$/m);
  assert.match(text, /^opallama_build_info\{version="1\.2\.3",node="\d.*"\} 1$/m);
  assert.match(text, /\n# EOF\n$/);
  const older = await metrics.expose('*/*');
  assert.equal(older.type, 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(older.text, /^# TYPE opallama_requests_total counter$/m);
  assert.match(older.text, /^opallama_requests_total\{.*\} 1$/m);
  assert.doesNotMatch(older.text, / # \{/);
});

test('a bucket leads to the request that was counted there, once somebody asks for it', async () => {
  const metrics = testMetrics();
  metrics.observe(event, measures);
  assert.doesNotMatch((await metrics.expose(open)).text, / # \{/, 'nobody had asked');
  metrics.observe(event, measures);
  const { text } = await metrics.expose(open);
  const ids = `trace_id="${traceId}",request_id="r-1"`;
  const lines = text.split('\n').filter((line) => line.includes(' # {'));
  for (const line of lines) assert.match(line, new RegExp(` # \\{${ids}\\} [\\d.e-]+ \\d+\\.\\d{3}$`));
  const pointed = lines.map((line) => /^\w+(?:\{le="[^"]*")?/.exec(line)?.[0]);
  assert.deepEqual(pointed, [
    'opallama_decisions_total',
    'opallama_decision_duration_seconds_bucket{le="0.000025"',
    'opallama_overhead_seconds_bucket{le="0.0005"',
    'gen_ai_client_token_usage_bucket{le="16.0"',
    'gen_ai_client_token_usage_bucket{le="64.0"',
    'gen_ai_server_request_duration_seconds_bucket{le="5.12"',
    'gen_ai_server_time_to_first_token_seconds_bucket{le="1.0"',
    'gen_ai_server_time_per_output_token_seconds_bucket{le="0.1"',
  ]);
});

test('of ordinary requests few are pointed at, of those that failed or are traced as many as cost nothing', () => {
  let now = 1_000_000;
  const exemplars = createExemplars(() => now);
  const chosen = (over: Partial<AuditEvent>, sampled = false): number => {
    let count = 0;
    for (let ms = 0; ms < 1000; ms += 1) {
      now += 1;
      if (exemplars.choose({ ...event, ...over }, { ...measures, traceSampled: sampled }) !== undefined) count += 1;
    }
    now += 10_000;
    return count;
  };
  assert.equal(chosen({}), 0, 'nobody asks');
  exemplars.wanted();
  assert.ok(chosen({}) <= 10);
  for (const count of [chosen({}, true), chosen({ status: 502, outcome: 'error' }), chosen({ status: 403 })])
    assert.ok(count >= 50 && count <= 100, `${count}`);
  now += 700_000;
  assert.equal(chosen({}, true), 0, 'nobody asks any more');
});

test('an id that is too long for an exemplar is left out', () => {
  const exemplars = createExemplars(() => 1_000_000);
  exemplars.wanted();
  const long = { ...event, request_id: 'x'.repeat(128) };
  assert.deepEqual(exemplars.choose(long, { ...measures, traceSampled: true }), { trace_id: traceId });
  assert.equal(exemplars.choose({ ...long, trace_id: undefined }, { ...measures, traceSampled: true }), undefined);
});

test('a value belongs to the bucket whose bound it does not pass', () => {
  assert.deepEqual(
    [0, 1, 1.5, 4, 5].map((value) => bucketOf([1, 4], value)),
    ['1', '1', '4', '4', '+Inf'],
  );
});
