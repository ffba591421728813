/** Client credentials (RFC 6749 section 4.4) over real sockets, up to a request that the token is good for. */
import assert from 'node:assert/strict';
import { createHash, createSecretKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';
import { pino } from 'pino';

import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';

const secret = `ocs_${'a1B2'.repeat(10)}`;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

function clientsOf(...secrets: readonly string[]): string {
  return `clients:
  - id: agents/planner
    secret_sha256: [${secrets.map(sha256).join(', ')}]
    roles: [developer]
    permissions: [web:read, web:write]
    tenant: blue
`;
}

interface Endpoint {
  readonly sidecar: TestSidecar;
  readonly file: string;
  readonly logged: () => string;
  post(body: string, headers?: Readonly<Record<string, string>>, path?: string): Promise<Response>;
  form(parameters: Readonly<Record<string, string>>, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

const right = { grant_type: 'client_credentials', client_id: 'agents/planner', client_secret: secret };

async function start(): Promise<Endpoint & { close(): Promise<void> }> {
  const upstream = createServer((_request, response) => response.end('{"models":[]}'));
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const port = portOf(upstream);
  const directory = mkdtempSync(join(tmpdir(), 'opallama-clients-'));
  const file = join(directory, 'clients.yaml');
  writeFileSync(file, clientsOf(secret));
  const key = createSecretKey(Buffer.alloc(32, 9));
  const logged: string[] = [];
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
    log: pino({ level: 'info' }, { write: (text: string) => logged.push(text) }),
    tokenEndpoint: {
      clientsFile: file,
      algorithm: 'HS256',
      signingKey: key,
      verifyingKey: key,
      source: { member: 'secret_env', value: 'TEST' },
      kid: 'opallama-token',
      issuer: 'https://sidecar.example',
      audience: 'opallama',
      expiresS: 900,
      perClient: 1000,
      perSource: 1000,
    },
  });
  const post: Endpoint['post'] = (body, headers = {}, path = '/auth/token') =>
    fetch(`${sidecar.url}${path}`, { method: 'POST', headers, body });
  return {
    sidecar,
    file,
    logged: () => logged.join(''),
    post,
    form: (parameters, headers = {}) =>
      post(new URLSearchParams(parameters).toString(), {
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
      }),
    async close() {
      await sidecar.close();
      upstream.close();
      rmSync(directory, { recursive: true, maxRetries: 10 });
    },
  };
}

const basic = (id: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(password)}`).toString('base64')}`,
});

async function errorOf(
  response: Response,
): Promise<{ readonly status: number; readonly error: unknown; readonly text: string }> {
  const text = await response.text();
  const body: unknown = JSON.parse(text);
  assert.ok(typeof body === 'object' && body !== null && 'error' in body && 'error_description' in body, text);
  assert.deepEqual(Object.keys(body), ['error', 'error_description']);
  assert.match(String(body.error_description), /^[ !#-[\]-~]+$/, 'RFC 6749 section 5.2');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  return { status: response.status, error: body.error, text };
}

async function tokenOf(response: Response): Promise<string> {
  assert.equal(response.status, 200, await response.clone().text());
  const body: unknown = await response.json();
  assert.ok(typeof body === 'object' && body !== null && 'access_token' in body);
  return String(body.access_token);
}

// A policy is compiled at each start: one sidecar for all.
let endpoint: Awaited<ReturnType<typeof start>>;
before(async () => {
  endpoint = await start();
});
after(() => endpoint.close());

test('a client gets a token by form, JSON and HTTP Basic, on both paths, and the sidecar takes it back', async () => {
  const { sidecar, post, form } = endpoint;
  const json = { 'content-type': 'application/json' };
  const answers = [
    await form(right),
    await post(JSON.stringify(right), json),
    await post(JSON.stringify(right), json, '/api/v1/auth/token'),
    await form({ grant_type: 'client_credentials' }, basic('agents/planner', secret)),
    await post('{"grant_type":"client_credentials"}', { ...json, ...basic('agents/planner', secret) }),
  ];
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal(answer.headers.get('pragma'), 'no-cache');
    const body: unknown = await answer.json();
    assert.ok(typeof body === 'object' && body !== null && 'access_token' in body);
    assert.deepEqual(body, { access_token: body.access_token, token_type: 'Bearer', expires_in: 900 });
    const models = await fetch(`${sidecar.url}/api/tags`, {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    assert.equal(models.status, 200, await models.text());
  }
  const events = await sidecar.waitForEvents(10);
  const [granted, used] = [
    events.find(({ path }) => path === '/auth/token'),
    events.find(({ path }) => path === '/api/tags'),
  ];
  assert.deepEqual(
    [
      granted?.operation,
      granted?.principal,
      granted?.tenant,
      granted?.status,
      granted?.outcome,
      granted?.policy_result,
    ],
    ['token.issue', 'agents/planner', 'blue', 200, 'complete', 'none'],
  );
  assert.equal(used?.principal, 'agents/planner');
});

test('a token says who the client is, no two are the same, and a smaller scope gives fewer permissions', async () => {
  const { form } = endpoint;
  const whole = jsonwebtoken.decode(await tokenOf(await form(right)));
  const again = jsonwebtoken.decode(await tokenOf(await form(right)));
  const less = jsonwebtoken.decode(await tokenOf(await form({ ...right, scope: 'web:read' })));
  assert.ok(typeof whole === 'object' && whole !== null && typeof again === 'object' && again !== null);
  const { iat = 0, exp = 0, jti, ...claims } = whole;
  assert.deepEqual(claims, {
    client_id: 'agents/planner',
    roles: ['developer'],
    permissions: ['web:read', 'web:write'],
    tenant: 'blue',
    sub: 'agents/planner',
    iss: 'https://sidecar.example',
    aud: 'opallama',
  });
  assert.equal(exp - iat, 900);
  assert.notEqual(jti, again['jti']);
  assert.ok(typeof less === 'object' && less !== null);
  assert.deepEqual(less['permissions'], ['web:read']);
});

test('what is wrong is refused in the shape of RFC 6749, recorded once, and never with a secret', async () => {
  const { sidecar, post, form, logged } = endpoint;
  const json = { 'content-type': 'application/json' };
  const { client_secret: _, ...bare } = right;
  const wrong = { ...right, client_secret: `${secret}x` };
  const cases: ReadonlyArray<readonly [string, () => Promise<Response>, number, string]> = [
    ['a wrong secret', () => form(wrong), 401, 'invalid_client'],
    ['an unknown client', () => form({ ...right, client_id: 'nobody' }), 401, 'invalid_client'],
    ['no secret', () => form(bare), 401, 'invalid_client'],
    [
      'a wrong secret by Basic',
      () => form({ grant_type: 'client_credentials' }, basic('agents/planner', 'x')),
      401,
      'invalid_client',
    ],
    [
      'a bearer token',
      () => form({ grant_type: 'client_credentials' }, { authorization: `Bearer ${secret}` }),
      401,
      'invalid_client',
    ],
    ['Basic that is broken', () => form(bare, { authorization: 'Basic !!!' }), 401, 'invalid_client'],
    ['Basic without a colon', () => form(bare, { authorization: `Basic ${btoa('planner')}` }), 401, 'invalid_client'],
    [
      'Basic with a broken escape',
      () => form(bare, { authorization: `Basic ${btoa('planner%:%')}` }),
      401,
      'invalid_client',
    ],
    ['two ways at once', () => form(right, basic('agents/planner', secret)), 400, 'invalid_request'],
    ['two ids', () => form({ ...bare, client_id: 'other' }, basic('agents/planner', secret)), 400, 'invalid_request'],
    ['no grant type', () => form({ client_id: right.client_id, client_secret: secret }), 400, 'invalid_request'],
    ['another grant type', () => form({ ...right, grant_type: 'password' }), 400, 'unsupported_grant_type'],
    ['a scope that it has not', () => form({ ...right, scope: 'web:read admin' }), 400, 'invalid_scope'],
    [
      'a parameter twice',
      () => post(`${new URLSearchParams(right)}&client_id=b`, { 'content-type': 'application/x-www-form-urlencoded' }),
      400,
      'invalid_request',
    ],
    ['a member twice', () => post(`{"client_id":"a",${JSON.stringify(right).slice(1)}`, json), 400, 'invalid_request'],
    ['a member in capitals', () => post(JSON.stringify({ ...right, CLIENT_ID: 'b' }), json), 400, 'invalid_request'],
    ['a number', () => post(JSON.stringify({ ...right, client_secret: 7 }), json), 400, 'invalid_request'],
    ['no JSON', () => post('{', json), 400, 'invalid_request'],
    ['another type', () => post(JSON.stringify(right), { 'content-type': 'text/plain' }), 400, 'invalid_request'],
    ['a secret in the URL', () => post('', {}, `/auth/token?${new URLSearchParams(right)}`), 400, 'invalid_request'],
    ['too much', () => form({ ...right, more: 'x'.repeat(9000) }), 413, 'invalid_request'],
    [
      'bytes that are no UTF-8',
      () =>
        fetch(`${sidecar.url}/auth/token`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new Uint8Array([0xff]),
        }),
      400,
      'invalid_request',
    ],
    ['GET', () => fetch(`${sidecar.url}/auth/token`), 405, 'invalid_request'],
  ];
  sidecar.app.tellNow();
  const seenBefore = sidecar.events.length;
  for (const [what, ask, status, error] of cases) {
    const answer = await ask();
    const seen = await errorOf(answer);
    assert.deepEqual([seen.status, seen.error], [status, error], `${what}: ${seen.text}`);
    assert.ok(!seen.text.includes(secret), what);
    if (status === 401) assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic /, what);
    if (status === 405) assert.equal(answer.headers.get('allow'), 'POST');
  }
  const events = (await sidecar.waitForEvents(seenBefore + cases.length)).slice(seenBefore);
  assert.equal(events.length, cases.length);
  for (const event of events)
    assert.deepEqual([event.operation, event.principal, event.outcome], ['token.issue', undefined, 'denied']);
  assert.ok(!JSON.stringify(events).includes(secret));
  assert.ok(!logged().includes(secret));
  assert.match(
    logged(),
    /"client":"agents\/planner"[^\n]*wrong secret/,
    'the operator learns whose secret was guessed at',
  );
  assert.doesNotMatch(logged(), /nobody/, 'and nothing that a caller made up');
});

test('a wrong secret and an unknown client get the same answer', async () => {
  const { form } = endpoint;
  const [wrong, unknown] = [await form({ ...right, client_secret: 'x' }), await form({ ...right, client_id: 'x' })];
  assert.equal(await wrong.text(), await unknown.text());
});

test('the file is read again while the sidecar runs, and a broken one changes nothing', async () => {
  const { sidecar, file, form, logged } = endpoint;
  const next = `ocs_${'z9Y8'.repeat(10)}`;
  writeFileSync(file, clientsOf(secret, next));
  await sidecar.app.reload();
  assert.equal((await form(right)).status, 200);
  assert.equal((await form({ ...right, client_secret: next })).status, 200);

  writeFileSync(file, 'clients: [{}]\n');
  await sidecar.app.reload();
  assert.equal((await form(right)).status, 200);
  assert.match(logged(), /clients.yaml[^\n]*the former content stays/);

  writeFileSync(file, clientsOf(next));
  await sidecar.app.reload();
  assert.equal((await form(right)).status, 401);
  assert.equal((await form({ ...right, client_secret: next })).status, 200);
});

test('without a token endpoint its path is no route, and needs a credential like any other', async (t) => {
  const sidecar = await startTestSidecar({ upstream: 'http://127.0.0.1:9' });
  t.after(() => sidecar.close());
  const bare = await fetch(`${sidecar.url}/auth/token`, { method: 'POST', body: '{}' });
  const known = await fetch(`${sidecar.url}/auth/token`, {
    method: 'POST',
    body: '{}',
    headers: { authorization: `Bearer ${sidecar.token()}` },
  });
  assert.deepEqual([bare.status, known.status], [401, 404]);
});
