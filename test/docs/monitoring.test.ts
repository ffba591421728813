/** What is made of the rules and panels is up to date, speaks of metrics that there are, and is documented. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { dashboardQueries } from '../../scripts/dashboard-panels.ts';
import { buildMonitoring } from '../../scripts/write-monitoring.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { readRules } from '../prometheus/rules.ts';
import { codes, readPaper, root, tableRows } from './papers.ts';

test('k8s/monitoring has what npm run monitoring writes', () => {
  for (const [name, text] of Object.entries(buildMonitoring()))
    assert.equal(readFileSync(join(root, 'k8s/monitoring', name), 'utf8'), text, `${name}: npm run monitoring`);
});

test('rules and dashboard name no metric that is not there', async () => {
  const { registry } = createMetrics({ isListedModel: () => false, revision: () => undefined, inFlight: () => 0 });
  const recorded = readRules().flatMap((rule) => ('record' in rule ? [rule.record] : []));
  const known = new Set(['up', ...recorded]);
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const parts = String(type) === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const part of parts) known.add(name + part);
  }
  const expressions = [...readRules().map(({ expr }) => expr), ...dashboardQueries];
  for (const expr of expressions) {
    const named = expr.match(/\b(?:opallama|gen_ai|process)[_:][a-z0-9_:]+(?=[{[)\s]|$)/g) ?? [];
    // Names of labels look the same; they stand in lists behind by and on.
    const labels = new Set(['gen_ai_request_model', 'gen_ai_token_type']);
    for (const name of named) assert.ok(known.has(name) || labels.has(name), `${name} in ${expr}`);
    assert.ok(named.length > 0 || expr.includes('up{'), expr);
  }
});

const paper = readPaper('docs/metrics.md');

test('docs/metrics.md lists every recorded rule, and no other', () => {
  const rows = tableRows(paper, 'Recorded').map(([name]) => codes(name)[0]);
  assert.deepEqual(
    rows,
    readRules().flatMap((rule) => ('record' in rule ? [rule.record] : [])),
  );
});

test('docs/metrics.md lists every alert with its severity and time, and no other', () => {
  const rows = tableRows(paper, 'Alerts').map(([name, severity, , time]) => [codes(name)[0], severity, time]);
  const alerts = readRules().flatMap((rule) =>
    'alert' in rule ? [[rule.alert, rule.labels.severity, rule.for ?? 'at once']] : [],
  );
  assert.deepEqual(rows, alerts);
});
