/** The rules and alerts, by Prometheus' own promtool: what it accepts, and when each alert fires. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { stringify } from 'yaml';

import { type AlertCase, alertCases } from './alert-cases.ts';
import { findCommand } from './prepare.ts';
import { readRules } from './rules.ts';

const execute = promisify(execFile);
const file = fileURLToPath(new URL('../../k8s/monitoring/rules.yaml', import.meta.url));
const alerts = readRules().flatMap((rule) => ('alert' in rule ? [rule] : []));

test('promtool accepts the rules', async () => {
  const { stdout } = await execute(findCommand('promtool'), ['check', 'rules', '--lint=all', '--lint-fatal', file]);
  assert.match(stdout, new RegExp(`SUCCESS: ${readRules().length} rules found`));
});

test('each alert has a case', () => {
  assert.deepEqual(Object.keys(alertCases).toSorted(), alerts.map(({ alert }) => alert).toSorted());
});

function describeCase(alert: (typeof alerts)[number], { series, at, labels }: AlertCase, isBad: boolean): object {
  const fired = { exp_labels: { ...labels, ...alert.labels }, exp_annotations: alert.annotations };
  return {
    name: `${alert.alert} ${isBad ? 'fires' : 'does not fire'}`,
    interval: '1m',
    input_series: Object.entries(series(isBad)).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [{ eval_time: at, alertname: alert.alert, exp_alerts: isBad ? [fired] : [] }],
  };
}

test('each alert fires where it should, and not where things are a little better', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'opallama-rules-'));
  t.after(() => rmSync(folder, { recursive: true, maxRetries: 10 }));
  const tests = alerts.flatMap((alert) => {
    const given = alertCases[alert.alert];
    return given === undefined ? [] : [true, false].map((isBad) => describeCase(alert, given, isBad));
  });
  assert.equal(tests.length, alerts.length * 2);
  const cases = join(folder, 'cases.yaml');
  writeFileSync(cases, stringify({ rule_files: [file], evaluation_interval: '1m', tests }));
  await execute(findCommand('promtool'), ['test', 'rules', cases]).catch((error: unknown) => {
    assert.fail(
      error instanceof Error && 'stderr' in error ? `${error.stderr}${Reflect.get(error, 'stdout')}` : String(error),
    );
  });
});
