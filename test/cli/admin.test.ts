/** The commands that ask a running sidecar, as processes of their own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { adminToken } from '../support/admin.ts';
import { numberedPolicy, reload, startChanging, whoDecides } from '../support/changing-policy.ts';
import type { TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { opallama } from './command.ts';

test('status, rollout, rollback and reload say what they did, for people and for machines', async (t) => {
  const sidecar = await startChanging(t, { policyConfig: { rollout: { percent: 0 } } });
  const call = (...args: string[]) =>
    opallama([...args, '--admin-url', sidecar.adminUrl], { env: { OPALLAMA_ADMIN_TOKEN: adminToken } });
  await reload(sidecar, numberedPolicy(1));
  const status = await call('status');
  assert.equal(status.code, 0, status.stderr);
  assert.match(status.stdout, /^ready +yes$/m);
  assert.match(status.stdout, /^ {2}[0-9a-f]{12} +rollout 0 % +\S+Z +0 tests$/m);
  assert.match(status.stdout, /^ {2}[0-9a-f]{12} +decides +/m);

  const rollout = await call('rollout', '--percent', '10.5');
  assert.match(
    rollout.stdout,
    /^policy: revision [0-9a-f]{12} decides, still\npolicy: .* decides for 10\.5 % of the callers\n$/,
  );
  assert.equal((await call('rollout', 'policy', '--percent', '100')).code, 0);
  assert.equal(await whoDecides(sidecar, 'alice'), 1);

  const back = await call('rollback', '--format', 'json');
  const answer: unknown = JSON.parse(back.stdout);
  assert.ok(typeof answer === 'object' && answer !== null && 'revision' in answer);
  assert.equal(await whoDecides(sidecar, 'alice'), 0);
  const nothing = await call('rollback');
  assert.deepEqual([nothing.code, nothing.stdout.split(':')[0]], [1, 'nothing_to_undo']);
  assert.match((await call('status')).stdout, /was rolled back at \S+; opallama reload takes what is new again/);

  sidecar.writePolicy({ 'authz.rego': 'package ollama.authz\n\nallow if {\n' });
  const refused = await call('reload');
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /^refused: .*\n {2}.*authz\.rego:\d+/m);
  const machine = await call('status', '--format', 'json');
  assert.equal(machine.code, 1, 'a refused change is a finding');
  assert.ok(JSON.parse(machine.stdout).revisions.policy.length > 1);
});

test('the shadow is told of and reloaded by its name', async (t) => {
  const sidecar = await startChanging(t, {
    shadow: { files: { 'authz.rego': 'package ollama.authz\n\nallow if {\n' }, config: { engine: 'topdown' } },
  });
  let write = (): void => {};
  const port = await startBefore(t, sidecar, () => write());
  // Where the sidecar is told where to listen, the command is too.
  const env = { OPALLAMA_ADMIN_TOKEN: adminToken, OPALLAMA_LISTEN__ADMIN: `127.0.0.1:${port}` };
  const refused = await opallama(['reload', 'shadow'], { env });
  assert.equal(refused.code, 1);
  assert.match(
    refused.stdout,
    /^shadow: revision none is asked as a shadow, still\nrefused: .*\n {2}.*authz\.rego:\d+/,
  );
  assert.match(
    (await opallama(['status'], { env })).stdout,
    /^shadow {2}.*\n {2}not loaded\n {2}the change of \S+ was refused/m,
  );

  // While the command is under way: the sidecar sees it by itself, too, often before a command has started.
  write = () => sidecar.writeShadow({ 'authz.rego': 'package ollama.authz\n\nallow := false\n' });
  const loaded = await opallama(['reload', 'shadow'], { env });
  assert.match(loaded.stdout, /^shadow: revision [0-9a-f]{12} is asked as a shadow, in the place of none\n$/);
  assert.equal(loaded.code, 0);
  write = () => {};
  await whoDecides(sidecar, 'alice');
  for (const deadline = Date.now() + 30_000; Date.now() < deadline && sidecar.shadowEvents.length === 0; )
    await sleep(10);
  const status = await opallama(['status'], { env });
  assert.match(status.stdout, /^ {2}revision [0-9a-f]{12} is asked and decides nothing/m);
  assert.match(status.stdout, /^ {2}newly_denied +1$/m);
  assert.equal(status.code, 0);
  assert.match((await opallama(['rollback', 'shadow'], { env })).stderr, /unknown_policy/);
});

/** Stands before the admin listener and passes everything on. @param reloading is called before a reload is. @returns its port */
async function startBefore(t: TestContext, { adminUrl }: TestSidecar, reloading: () => void): Promise<number> {
  const server = createServer((asked, answer) => {
    if (asked.url?.endsWith('/reload') === true) reloading();
    const headers = { ...asked.headers, host: new URL(adminUrl).host };
    const passed = request(`${adminUrl}${asked.url}`, { method: asked.method, headers, agent: false }, (given) => {
      answer.writeHead(given.statusCode ?? 502, given.headers);
      given.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    asked.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return portOf(server);
}

test('a wrong call ends with code 2 and says what to do', async (t) => {
  const sidecar = await startChanging(t);
  const url = ['--admin-url', sidecar.adminUrl];
  for (const [args, env, pattern] of [
    [['status', ...url], {}, /Set OPALLAMA_ADMIN_TOKEN/],
    [['status', ...url], { OPALLAMA_ADMIN_TOKEN: `${adminToken}x` }, /invalid_credentials/],
    [['status', '--admin-url', 'http://127.0.0.1:9'], { OPALLAMA_ADMIN_TOKEN: adminToken }, /No sidecar answers/],
    [['status', '--admin-url', 'http://sidecar.example:9191'], { OPALLAMA_ADMIN_TOKEN: adminToken }, /must not cross/],
    [['rollback', 'other', ...url], { OPALLAMA_ADMIN_TOKEN: adminToken }, /unknown_policy: .*there is policy/],
    [['rollout', '--percent', 'all', ...url], { OPALLAMA_ADMIN_TOKEN: adminToken }, /from 0 to 100/],
  ] as const) {
    const { code, stdout, stderr } = await opallama(args, { env });
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, pattern);
  }
});
