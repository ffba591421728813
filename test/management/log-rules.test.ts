/** `data.system.log.mask` and `drop` of real policies, compiled apart from what decides. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { decide, logsTo, policy, startManaged } from './managed.ts';

const masks = `package system.log

mask contains "/input/principal/id"
mask contains {"op": "upsert", "path": "/input/client/ip", "value": "0.0.0.0"} if input.input.client.ip
mask contains "/result/reasons" if data.hide_reasons

drop if input.input.model == "unlogged"
`;

test('a mask of the policy is asked about each decision, also when it changes, and fails closed', async (t) => {
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    policy: { ...policy, 'system_log.rego': masks, 'data.json': '{"hide_reasons":true}' },
  });
  await decide(sidecar, { model: 'unlogged', messages: [] });
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  const event = plane.events()[0] ?? {};
  assert.equal(Object(event['input'])['model'], 'tiny');
  assert.equal(Object(event['input'])['principal'].id, undefined);
  assert.equal(Object(event['input'])['client'].ip, '0.0.0.0');
  assert.deepEqual(event['result'], { allowed: false });
  assert.deepEqual(event['erased'], ['/input/principal/id', '/result/reasons']);
  assert.deepEqual(event['masked'], ['/input/client/ip']);
  // What is recorded elsewhere is as it was.
  assert.equal(sidecar.events.at(-1)?.principal, 'bob');
  assert.match(await sidecar.metrics(), /decision_log_events_total\{result="dropped_by_policy"\} 1/);

  sidecar.writePolicy({ 'system_log.rego': 'package system.log\n\nmask := {"not": "a set"}\n' });
  await sidecar.app.reload();
  await decide(sidecar);
  await plane.until(() => plane.requests.length > 0);
  for (let tries = 0; tries < 100; tries += 1) {
    if (/result="mask_failed"\} 1/.test(await sidecar.metrics())) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.match(await sidecar.metrics(), /decision_log_events_total\{result="mask_failed"\} 1/);
  assert.equal(plane.events().length, 1);
});

test('a mask that is data counts too', async (t) => {
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    policy: { ...policy, 'data.json': '{"system":{"log":{"mask":["/input/principal"]}}}' },
  });
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  assert.equal(Object(plane.events()[0]?.['input'])['principal'], undefined);
});

test('a policy that is kept for a restart keeps what it masks', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-masks-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const source = join(directory, 'policy');
  const stateDir = join(directory, 'state');
  const write = (files: Readonly<Record<string, string>>) => {
    rmSync(source, { recursive: true, force: true });
    for (const [name, text] of Object.entries(files)) {
      rmSync(join(source, name), { force: true });
      writeFileSync(join(makeDirectory(source), name), text);
    }
  };
  write({ ...policy, 'system_log.rego': masks });
  const policyConfig = { path: source, stateDir };
  const first = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), { policyConfig });
  await first.sidecar.close();

  write({ 'authz.rego': 'package ollama.authz\nallow if {\n' });
  const second = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), { policyConfig });
  await decide(second.sidecar);
  await second.plane.until(() => second.plane.events().length === 1);
  const event = second.plane.events()[0] ?? {};
  assert.equal(Object(event['input'])['principal'].id, undefined);
  assert.deepEqual(event['masked'], ['/input/client/ip']);
});

function makeDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}
