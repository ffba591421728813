/** What operators ask and change, where several processes serve. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { opallama } from '../cli/command.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { adminToken, callAdmin } from '../support/admin.ts';
import { numberedPolicy, startWorkers, until } from './harness.ts';

const skip = noModule;

test('operators are told of all workers as of one sidecar, and reach each of them', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  for (let request = 0; request < 6; request += 1) await sidecar.chat();
  await sidecar.chat({ model: 'other' });

  const coverage = JSON.stringify((await callAdmin(sidecar, '/v1/coverage')).body);
  assert.match(coverage, /"decisions":\{"allow":6,"deny":1,"error":0\}/);

  const denials = () => sidecar.lines('completion').filter(({ status }) => status === 403);
  await until(() => denials().length === 1, 'the line of a denial');
  const explained = await sidecar.admin('/v1/explain', { decision_id: denials()[0]?.['decision_id'] });
  assert.equal(explained['policy_result'], 'deny');

  await sidecar.admin('/v1/log-level', { level: 'debug' });
  await Promise.all(Array.from({ length: 8 }, () => sidecar.chat()));
  await sidecar.running.waitFor(/"worker":1,.*"the request was decided"/);
  await sidecar.running.waitFor(/"worker":2,.*"the request was decided"/);
  const { files } = (await callAdmin(sidecar, '/v1/support')).body;
  assert.match(JSON.stringify(files), /\\"worker\\":1/);

  const shown = await opallama(['status', '--admin-url', sidecar.adminUrl], {
    env: { OPALLAMA_ADMIN_TOKEN: adminToken },
  });
  assert.match(shown.stdout, /worker 1 +serves, 0 in flight, process \d+/);
  assert.match(shown.stdout, /worker 2 +serves/);

  // As daemons do.
  sidecar.writePolicy(numberedPolicy(7));
  sidecar.running.process.kill('SIGHUP');
  await until(async () => (await sidecar.chat()).policy === '7', 'the policy of a SIGHUP');
});

test('a shadow is asked in every worker and its results are those of one sidecar', { skip }, async (t) => {
  const sidecar = await startWorkers(t, {
    config: { policy: { path: 'policy', shadow: { path: 'shadow', name: 'stricter' } } },
    files: { 'shadow/authz.rego': 'package ollama.authz\ndefault allow := false\n' },
  });
  await sidecar.running.waitFor(/"shadow":"stricter".*shadow loaded/);
  for (let request = 0; request < 8; request += 1) assert.equal((await sidecar.chat()).status, 200);
  const newlyDenied = /opallama_shadow_decisions_total\{shadow="stricter",result="newly_denied"\}/;
  await until(async () => (await sidecar.metric(newlyDenied)) === 8, 'eight disagreements');
  const { body } = await callAdmin(sidecar, '/v1/shadow');
  assert.equal(Array.isArray(body['disagreements']) && body['disagreements'].length, 8);
  await until(() => sidecar.lines('shadow').length === 8, 'their lines');
});

test('a program as policy is the same in every worker, also in one that comes later', { skip }, async (t) => {
  const module = (number: number) =>
    `export const evaluate = () => ({ allow: true, response_headers_to_add: { 'x-policy': '${number}' } });\n`;
  const sidecar = await startWorkers(t, {
    config: { policy: { engine: 'module', path: 'policy/own.mjs' } },
    files: { 'policy/own.mjs': module(1) },
  });
  const decide = async () =>
    new Set((await Promise.all(Array.from({ length: 8 }, () => sidecar.chat()))).map(({ policy }) => policy));
  assert.deepEqual(await decide(), new Set(['1']));
  const [victim] = await sidecar.workers();
  // A successor runs what the others run.
  writeFileSync(join(sidecar.home, 'policy/own.mjs'), module(2));
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  await until(
    async () => (await sidecar.workers()).filter(({ pid, serving }) => serving && pid !== victim?.pid).length === 2,
    'a successor serves',
  );
  assert.deepEqual(await decide(), new Set(['1']));
});
