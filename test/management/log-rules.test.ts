/** `data.system.log.mask` and `drop` of real policies, compiled apart from what decides. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createEngine } from '../../src/decision/engines/table.ts';
import { packPolicy } from '../../src/decision/isolation/pack.ts';
import { loadLogRules } from '../../src/delivery/log-rules.ts';
import { compiledLogRules } from '../../src/policy/log-rules.ts';
import { opallama } from '../cli/command.ts';
import type { TestSidecar } from '../support/in-process.ts';
import { policyConfig } from '../support/policy-config.ts';
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
  await untilMetric(sidecar, /decision_log_events_total\{result="mask_failed"\} [1-9]/);
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

test('a bundle of opallama build masks, and what its masks read makes nobody build content', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-masks-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const source = makeDirectory(join(directory, 'policy'));
  const mask = 'package system.log\n\nmask contains "/input/principal/id" if walk(input, [_, "bob"])\n';
  for (const [name, text] of Object.entries({ ...policy, 'log.rego': mask })) writeFileSync(join(source, name), text);
  const bundle = join(directory, 'bundle.tar.gz');
  const { code, stdout, stderr } = await opallama(['build', source, '--output', bundle]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /system\/log\/mask/);
  assert.doesNotMatch(stdout, /reads +everything|messages/);
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    policyConfig: { path: bundle },
  });
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  assert.equal(Object(plane.events()[0]?.['input'])['principal'].id, undefined);
});

test('a policy that is kept for a restart keeps what it masks', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-masks-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const source = join(directory, 'policy');
  const stateDir = join(directory, 'state');
  const write = (files: Readonly<Record<string, string>>) => {
    rmSync(source, { recursive: true, maxRetries: 10, force: true });
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

test('a mask that does not end holds no request up, and its event is not sent', async (t) => {
  const endless = `package system.log

mask contains "/input/principal" if {
	some i in numbers.range(1, 100000000)
	i == input.nothing
}
`;
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    policy: { ...policy, 'system_log.rego': endless },
    policyConfig: { deadline: 1000 },
  });
  await decide(sidecar);
  const before = performance.now();
  for (let sent = 0; sent < 20; sent += 1) await decide(sidecar);
  const tookMs = performance.now() - before;
  await untilMetric(sidecar, /decision_log_events_total\{result="mask_failed"\} [1-9]/);
  // Twenty times the deadline, were they held up.
  assert.ok(tookMs < 15_000, `${tookMs}`);
  assert.equal(plane.events().length, 0);
});

test('of several policies each masks, and any may drop', async (t) => {
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    allOf: {
      first: { ...policy, 'log.rego': 'package system.log\n\nmask contains "/input/principal/id"\n' },
      second: { ...policy, 'log.rego': 'package system.log\n\ndrop if input.input.model == "unlogged"\n' },
      third: policy,
    },
  });
  await decide(sidecar, { model: 'unlogged', messages: [] });
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  const event = plane.events()[0] ?? {};
  assert.equal(Object(event['input'])['principal'].id, undefined);
  assert.equal(Object(event['input'])['model'], 'tiny');
  assert.deepEqual(Object.keys(Object(event['bundles'])), ['first', 'second', 'third']);
  const revisions = Object.values(Object(event['bundles'])).map((bundle) => Object(bundle)['revision']);
  assert.equal(revisions.join(), sidecar.events.at(-1)?.revision);
});

test('a policy with much data, which is prepared apart, masks too, and its rules see the data', async (t) => {
  const names = Object.fromEntries(
    Array.from({ length: 120_000 }, (_, index) => [`name-${index}-${'x'.repeat(30)}`, index]),
  );
  const hiding = 'package system.log\n\nmask contains path if some path in data.hidden\n';
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), {
    policy: {
      ...policy,
      'log.rego': hiding,
      'data.json': JSON.stringify({ names, hidden: ['/input/principal/id'] }),
    },
    policyConfig: { workers: 1 },
  });
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  assert.equal(Object(plane.events()[0]?.['input'])['principal'].id, undefined);
  assert.deepEqual(plane.events()[0]?.['erased'], ['/input/principal/id']);
});

test('of a kept policy whose masks nobody looked for nothing is sent', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-masks-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const source = makeDirectory(join(directory, 'policy'));
  for (const [name, text] of Object.entries(policy)) writeFileSync(join(source, name), text);
  const policyConfig = { path: source, stateDir: join(directory, 'state') };
  const first = await startManaged(t, () => ({}), { policyConfig });
  await first.sidecar.close();
  writeFileSync(join(source, 'authz.rego'), 'package ollama.authz\nallow if {\n');
  const second = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }), { policyConfig });
  await decide(second.sidecar);
  await untilMetric(second.sidecar, /decision_log_events_total\{result="mask_failed"\} [1-9]/);
  assert.equal(second.plane.events().length, 0);
});

test('a compiled bundle whose masks were not compiled is refused', async () => {
  const source = { kind: 'bundle', ignored: [], revision: 'r', metadata: {}, library: [], data: {} } as const;
  const rules = compiledLogRules({
    ...source,
    roots: [''],
    wasm: new Uint8Array(1),
    files: new Map(),
    modules: { 'log.rego': 'package system.log\n\nmask contains "/input/x"\n' },
  });
  const config = policyConfig();
  const options = { config, engine: await createEngine(config), bytes: 1, onLost: () => {}, onMoved: () => {} };
  const packed = packPolicy({
    revision: 'r',
    wasm: new Uint8Array(1),
    modules: {},
    files: new Map(),
    data: {},
    entrypoints: ['ollama/authz'],
    reads: { all: true, members: new Set() },
    shapes: new Map(),
    codes: new Set(),
    deterministic: false,
  });
  await assert.rejects(
    loadLogRules(rules, packed, ['ollama/authz'], options),
    /log\.rego has a rule for that which was not compiled\. Build the bundle by opallama build, or by opa build with -e system\/log\/mask too/,
  );
});

async function untilMetric({ metrics }: TestSidecar, pattern: RegExp): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(50))
    if (pattern.test(await metrics())) return;
  assert.fail(`not seen: ${pattern}`);
}

function makeDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}
