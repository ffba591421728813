/** Who gets in at the admin listener, what it answers, and what it leaves behind. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { type TestContext, test } from 'node:test';

import { pino } from 'pino';

import type { AdminEvent } from '../../../src/types.ts';
import { adminToken, callAdmin, codeOf } from '../../support/admin.ts';
import { startTestSidecar, type TestSidecar } from '../../support/in-process.ts';

const rego = 'package ollama.authz\ndefault allow := false\nallow if input.model == "tiny"\n';

async function start(t: TestContext, adminTokens: Readonly<Record<string, string>> = { oncall: adminToken }) {
  const lines: string[] = [];
  const told: AdminEvent[] = [];
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    policy: { 'authz.rego': rego },
    adminTokens,
    onAdmin: (event) => told.push(event),
    log: pino({ base: null }, { write: (line: string) => void lines.push(line) }),
  });
  t.after(() => sidecar.close());
  return { ...sidecar, lines, told };
}

test('without a token there is no admin listener', async (t) => {
  const { app } = await start(t, {});
  assert.equal(app.admin, undefined);
});

test('status names the policy, what is bound and the upstream', async (t) => {
  const sidecar = await start(t);
  const { status, headers, body } = await callAdmin(sidecar, '/v1/status');
  assert.equal(status, 200);
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('access-control-allow-origin'), null);
  assert.match(String(body['version']), /^\d+\.\d+\.\d+/);
  assert.deepEqual([body['ready'], body['in_flight'], body['upstream']], [true, 0, 'http://127.0.0.1:9']);
  assert.deepEqual(body['listeners'], {
    data: `127.0.0.1:${sidecar.port}`,
    ops: new URL(sidecar.opsUrl).host,
    admin: new URL(sidecar.adminUrl).host,
  });
  const [policy, ...others] = Array.isArray(body['policies']) ? body['policies'] : [];
  assert.deepEqual(others, []);
  assert.match(policy.revision, /^[0-9a-f]{12}$/);
  assert.ok(Date.now() - Date.parse(policy.loaded_at) < 60_000);
  assert.deepEqual(
    [policy.name, policy.engine, policy.entrypoint, policy.kind, policy.refused],
    ['policy', 'wasm', 'ollama/authz', 'directory', undefined],
  );
  const { body: list } = await callAdmin(sidecar, '/v1/policies');
  assert.deepEqual(list, { policies: body['policies'] });
});

const unwanted = [
  ['an empty token', { authorization: '' }, 'invalid_credentials'],
  ['a token that is not one of its own', { authorization: `Bearer ${adminToken}x` }, 'invalid_credentials'],
  ["a caller's token", { authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x' }, 'invalid_credentials'],
  ['another scheme', { authorization: `Basic ${adminToken}` }, 'invalid_credentials'],
  ['a web page', { origin: 'http://ui.example' }, 'forbidden_origin'],
  ['a page of the loopback', { origin: 'http://127.0.0.1:3000' }, 'forbidden_origin'],
  ['a page of no origin', { origin: 'null' }, 'forbidden_origin'],
] as const;

test('web pages and callers without the token get nothing', async (t) => {
  const sidecar = await start(t);
  for (const [what, headers, code] of unwanted) {
    for (const path of ['/v1/status', '/v1/no-such-endpoint']) {
      const answer = await callAdmin(sidecar, path, { headers });
      assert.equal(codeOf(answer), code, what);
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
      assert.equal(answer.headers.get('www-authenticate'), answer.status === 401 ? 'Bearer' : null);
    }
  }
  const nobody = await fetch(`${sidecar.adminUrl}/v1/status`);
  assert.deepEqual([nobody.status, codeOf({ body: Object(await nobody.json()) })], [401, 'missing_credentials']);
});

test('a name that leads to the loopback gets nothing, an address and localhost do', async (t) => {
  const sidecar = await start(t);
  const ask = (host: string) => askWithHost(sidecar, host);
  assert.equal(await ask('rebound.example'), 403);
  assert.equal(await ask('localhost.rebound.example:9191'), 403);
  assert.equal(await ask('localhost:9191'), 200);
  assert.equal(await ask('[::1]:9191'), 200);
});

test('a second token in the head is refused', async (t) => {
  const sidecar = await start(t);
  const wrong = `Bearer ${'x'.repeat(30)}`;
  assert.equal(await askWithHost(sidecar, 'localhost', [`Bearer ${adminToken}`, wrong]), 401);
});

test('only the endpoints are there, each by its method', async (t) => {
  const sidecar = await start(t);
  for (const path of ['/', '/v1', '/v1/status/', '/v1/policies/No%20Name/reload', '/api/chat', '/metrics'])
    assert.equal(codeOf(await callAdmin(sidecar, path)), 'unknown_route', path);
  const wrong = await callAdmin(sidecar, '/v1/policies/policy/reload');
  assert.deepEqual([codeOf(wrong), wrong.status, wrong.headers.get('allow')], ['method_not_allowed', 405, 'POST']);
  assert.equal(codeOf(await callAdmin(sidecar, '/v1/policies/other/reload', { method: 'POST' })), 'unknown_policy');
});

test('a body is JSON with the members that are known, and small', async (t) => {
  const sidecar = await start(t);
  const path = '/v1/policies/policy/reload';
  assert.equal((await callAdmin(sidecar, path, { send: {} })).status, 200);
  assert.equal(codeOf(await callAdmin(sidecar, path, { send: { force: true } })), 'invalid_member');
  assert.equal(codeOf(await callAdmin(sidecar, path, { send: [] })), 'not_an_object');
  const form = { 'content-type': 'text/plain' };
  assert.equal(codeOf(await callAdmin(sidecar, path, { send: {}, headers: form })), 'invalid_json');
  assert.equal(codeOf(await callAdmin(sidecar, path, { send: { x: 'y'.repeat(5000) } })), 'body_too_large');
  assert.equal((await callAdmin(sidecar, '/v1/status')).status, 200);
});

test('reload answers what came of it', async (t) => {
  const sidecar = await start(t);
  const reload = async () => (await callAdmin(sidecar, '/v1/policies/policy/reload', { method: 'POST' })).body;
  const unchanged = await reload();
  assert.deepEqual([unchanged['result'], unchanged['refused']], ['unchanged', undefined]);
  assert.equal(unchanged['revision'], unchanged['former_revision']);

  sidecar.writePolicy({ 'authz.rego': 'package ollama.authz\n\nallow if {\n' });
  // Also where it was refused before: nothing changed since.
  for (const _ of [1, 2]) {
    const { result, refused, revision } = await reload();
    assert.deepEqual([result, revision], ['refused', unchanged['revision']]);
    assert.ok(typeof refused === 'object' && refused !== null && 'faults' in refused && Array.isArray(refused.faults));
    assert.match(refused.faults.join(), /authz\.rego:\d+.*rego_parse_error/);
  }
  sidecar.writePolicy({ 'authz.rego': `${rego}\nallow if input.model == "other"\n` });
  const loaded = await reload();
  assert.deepEqual([loaded['result'], loaded['former_revision']], ['loaded', unchanged['revision']]);
  assert.notEqual(loaded['revision'], unchanged['revision']);
});

test('who changed something stands in the log, who was refused too, and no credential ever', async (t) => {
  const second = 'test-token-of-deployment-012345';
  const sidecar = await start(t, { oncall: adminToken, deployment: second });
  const wrong = 'wrong-token-that-nobody-may-read';
  await callAdmin(sidecar, `/v1/status?token=${wrong}`, { headers: { authorization: `Bearer ${wrong}` } });
  await callAdmin(sidecar, '/v1/policies/policy/reload', {
    method: 'POST',
    headers: { authorization: `Bearer ${second}` },
  });
  const lines = sidecar.lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'admin');
  assert.deepEqual(
    lines.map(({ who, endpoint, status, error, policy, result }) => [
      who,
      endpoint,
      status,
      error,
      policy,
      result?.result,
    ]),
    [
      [undefined, 'other', 401, 'invalid_credentials', '', undefined],
      ['deployment', 'POST /v1/policies/{name}/reload', 200, undefined, 'policy', 'unchanged'],
    ],
  );
  const all = sidecar.lines.join('') + JSON.stringify(sidecar.told);
  assert.deepEqual(
    sidecar.told.map(({ who, policy, status }) => [who, policy, status]),
    [['deployment', 'policy', 200]],
  );
  for (const secret of [adminToken, second, wrong]) assert.ok(!all.includes(secret));
  const metrics = await sidecar.metrics();
  assert.match(metrics, /^opallama_admin_requests_total\{endpoint="other",status="401"\} 1$/m);
  assert.match(
    metrics,
    /^opallama_admin_requests_total\{endpoint="POST \/v1\/policies\/\{name\}\/reload",status="200"\} 1$/m,
  );
});

/** By Node's own client, which sets the head as it is told. @returns the status */
async function askWithHost(
  { adminUrl }: TestSidecar,
  host: string,
  authorization: readonly string[] = [`Bearer ${adminToken}`],
): Promise<number> {
  const headers = ['host', host, ...authorization.flatMap((value) => ['authorization', value])];
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${adminUrl}/v1/status`, { headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject).end();
  });
}
