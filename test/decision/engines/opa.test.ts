/** What a remote OPA, or what stands in its place, can do to a decision. Servers here stand in for OPA unless they say so. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpaConfig } from '../../../src/configured/policy.ts';
import { createOpaEngine } from '../../../src/decision/engines/opa.ts';
import { EvaluationError, PolicyError } from '../../../src/errors.ts';
import type { LoadedPolicy, PolicySet } from '../../../src/types.ts';
import { atBest } from '../../support/at-best.ts';
import { issue, issueAuthority } from '../../support/certificates.ts';
import { findFreePort } from '../../support/free-port.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../../support/opa-cli.ts';
import { opaConfig, startOpaServer } from '../../support/opa-server.ts';
import { portOf } from '../../support/port-of.ts';
import { upstreamTlsOf } from '../../support/tls.ts';
import { policyInput } from '../input.ts';

before(() => (noGo === false ? buildOpaCli() : undefined), { timeout: buildLimitMs });

const policy: PolicySet = {
  revision: '',
  wasm: undefined,
  modules: {},
  files: new Map(),
  data: {},
  entrypoints: ['suite'],
  reads: { all: true, members: new Set() },
  shapes: new Map(),
  codes: new Set(),
  deterministic: false,
};

async function load(t: TestContext, config: Partial<OpaConfig>, entrypoint = 'suite'): Promise<LoadedPolicy> {
  const loaded = await createOpaEngine(opaConfig(config)).load({ ...policy, entrypoints: [entrypoint] });
  t.after(() => loaded.close());
  return loaded;
}

async function listen(t: TestContext, server: Server): Promise<URL> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = portOf(server);
  return new URL(`http://127.0.0.1:${port}`);
}

/** Healthy, and answers a decision as it is told. */
function standIn(t: TestContext, decide: RequestListener): Promise<URL> {
  return listen(
    t,
    createServer((request, response) => {
      if (request.url?.startsWith('/health') === true) response.end('{}');
      else decide(request, response);
    }),
  );
}

function directory(t: TestContext, files: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(tmpdir(), 'opallama-opa-'));
  t.after(() => rmSync(made, { recursive: true, maxRetries: 10 }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
  return made;
}

async function codeOf(deciding: ReturnType<LoadedPolicy['evaluate']>): Promise<string> {
  try {
    return JSON.stringify(await deciding);
  } catch (error) {
    return error instanceof EvaluationError ? error.code : String(error);
  }
}

test('integers beyond 2^53 keep every digit on the way there and back', async (t) => {
  let asked = '';
  const url = await standIn(t, (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => {
      asked += text;
    });
    request.on('end', () =>
      response.setHeader('content-type', 'application/json').end('{"result":{"id":9007199254740993}}'),
    );
  });
  const loaded = await load(t, { url });
  const uid = JSON.rawJSON('9007199254740995');
  const principal = { ...policyInput().principal, claims: { uid } };
  const results = await loaded.evaluate('suite', policyInput({ principal }));
  assert.equal(JSON.stringify(results), '[{"id":9007199254740993}]');
  assert.match(asked, /"claims":\{"uid":9007199254740995\}/);
});

for (const [title, status, headers, body, expected] of [
  ['a document', 200, {}, '{"result":{"allow":true}}', '[{"allow":true}]'],
  ['an undefined document', 200, {}, '{}', '[]'],
  ['a document that is null', 200, {}, '{"result":null,"decision_id":"x"}', '[null]'],
  ['a document that is false', 200, {}, '{"result":false}', '[false]'],
  ['no JSON', 200, {}, 'allow', 'engine_unavailable'],
  ['half a JSON text', 200, {}, '{"result":{"allow":true}', 'engine_unavailable'],
  ['a list', 200, {}, '[{"result":true}]', 'engine_unavailable'],
  ['an empty body', 200, {}, '', 'engine_unavailable'],
  ['a redirect', 307, { location: '/v1/data/elsewhere' }, '', 'engine_unavailable'],
  ['a refusal of the token', 401, {}, '{"code":"unauthorized","message":"x"}', 'engine_unavailable'],
  ['no such route', 404, {}, '{"code":"resource_not_found","message":"x"}', 'engine_unavailable'],
  ['the error of a proxy', 502, {}, '{"result":true}', 'engine_unavailable'],
  ['an error page', 500, {}, '<h1>no</h1>', 'engine_unavailable'],
  ['an allow with the status of an error', 500, {}, '{"result":{"allow":true}}', 'engine_unavailable'],
  [
    'an error of the policy',
    500,
    {},
    '{"code":"internal_error","message":"failed","errors":[{"code":"eval_conflict_error","message":"two"}]}',
    'Error: OPA failed to evaluate (internal_error): failed; eval_conflict_error: two',
  ],
] as const) {
  test(`an answer that is ${title}`, async (t) => {
    const paths: Array<string | undefined> = [];
    const url = await standIn(t, (request, response) => {
      paths.push(request.url);
      response.writeHead(status, headers).end(body);
    });
    const loaded = await load(t, { url });
    assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), expected);
    assert.deepEqual(paths, ['/v1/data/suite?provenance=true']);
  });
}

test('an answer that is too long is not read to its end', async (t) => {
  const url = await standIn(t, (_request, response) => {
    response.write('{"result":{"allow":true,"x":"');
    const timer = setInterval(() => response.write('x'.repeat(1 << 16)), 1);
    response.on('close', () => clearInterval(timer));
  });
  const loaded = await load(t, { url });
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'engine_unavailable');
});

test('an answer that is cut short is no decision', async (t) => {
  const url = await standIn(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"result":{"allow":true}}');
    setTimeout(() => response.destroy(), 20);
  });
  const loaded = await load(t, { url });
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'engine_unavailable');
});

for (const [title, answer] of [
  ['nothing', () => undefined],
  ['a head alone', (_request, response) => response.writeHead(200).flushHeaders()],
  [
    'an allow in drops',
    (_request, response) => {
      const text = '{"result":{"allow":true}}';
      let at = 0;
      const timer = setInterval(() => response.write(text[at++ % text.length] ?? ''), 30);
      response.on('close', () => clearInterval(timer));
    },
  ],
] satisfies ReadonlyArray<[string, RequestListener]>) {
  test(`past its deadline ${title} denies`, async (t) => {
    const url = await standIn(t, answer);
    const loaded = await load(t, { url, timeout: 150 });
    const took = await atBest(1000, async () => {
      const started = performance.now();
      assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'policy_deadline');
      return performance.now() - started;
    });
    // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
    assert.ok(took >= 100 && took < 1000, `${took} ms`);
  });
}

test('an answer that waited for a busy event loop until after the deadline is no decision', async (t) => {
  const url = await standIn(t, (_request, response) => {
    response.end('{"result":{"allow":true}}');
    for (const end = performance.now() + 250; performance.now() < end; );
  });
  const loaded = await load(t, { url, timeout: 150 });
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'policy_deadline');
});

test('a kept connection that was closed just now is opened again', async (t) => {
  let asked = 0;
  const url = await standIn(t, (request, response) => {
    asked += 1;
    // As a server that gives a connection up just when it is used again: no answer, the connection reset.
    if (asked === 2) request.socket.resetAndDestroy();
    else response.end('{"result":{"allow":true}}');
  });
  const loaded = await load(t, { url });
  for (let i = 0; i < 2; i += 1)
    assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), '[{"allow":true}]');
  assert.equal(asked, 3);
});

test('after failures in a row nothing is asked but whether it is back', async (t) => {
  let broken = true;
  const seen = { health: 0, decisions: 0 };
  const url = await listen(
    t,
    createServer((request, response) => {
      const isHealth = request.url?.startsWith('/health') === true;
      seen[isHealth ? 'health' : 'decisions'] += 1;
      if (isHealth) response.writeHead(broken && seen.health > 1 ? 500 : 200).end('{}');
      else response.writeHead(broken ? 503 : 200).end('{"result":{"allow":true}}');
    }),
  );
  const loaded = await load(t, { url, circuitBreaker: { failures: 3, reset: 50 } });
  for (let i = 0; i < 10; i += 1)
    assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'engine_unavailable');
  assert.equal(seen.decisions, 3);
  assert.match(loaded.notReady?.() ?? '', /503/);
  broken = false;
  const deadline = Date.now() + 30_000;
  while (loaded.notReady?.() !== undefined && Date.now() < deadline) await sleep(10);
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), '[{"allow":true}]');
  assert.ok(seen.health >= 2);
});

test('a policy that fails is no failure of OPA', async (t) => {
  const url = await standIn(t, (_request, response) => {
    response.writeHead(500).end('{"code":"internal_error","message":"failed"}');
  });
  const loaded = await load(t, { url, circuitBreaker: { failures: 1, reset: 50 } });
  for (let i = 0; i < 3; i += 1) assert.match(await codeOf(loaded.evaluate('suite', policyInput())), /internal_error/);
  assert.equal(loaded.notReady?.(), undefined);
});

test('an OPA that is not there at the start denies until it is', { skip: noGo }, async (t) => {
  const port = await findFreePort();
  const loaded = await load(t, {
    url: new URL(`http://127.0.0.1:${port}`),
    circuitBreaker: { failures: 5, reset: 50 },
  });
  assert.match(loaded.notReady?.() ?? '', /ECONNREFUSED/);
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), 'engine_unavailable');

  const bundle = directory(t, { 'policy.rego': 'package suite\n\nallow := true\n' });
  const server = await startOpaServer({ bundle, port });
  t.after(() => server.kill());
  const back = performance.now();
  while (loaded.notReady?.() !== undefined && performance.now() - back < 30_000) await sleep(5);
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), '[{"allow":true}]');
});

test('the revision is that of the bundles of the real OPA', { skip: noGo }, async (t) => {
  const bundle = directory(t, {
    'policy.rego': 'package suite\n\nallow := true\n',
    '.manifest': '{"revision":"v7","roots":["suite"]}',
  });
  const server = await startOpaServer({ bundle });
  t.after(() => server.kill());
  const loaded = await load(t, { url: server.url });
  assert.equal(loaded.revision, 'unknown');
  await loaded.evaluate('suite', policyInput());
  assert.equal(loaded.revision, 'v7');
});

test('a real OPA over TLS knows the sidecar by its certificate, and is known by its own', { skip: noGo }, async (t) => {
  const ca = issueAuthority('opa test');
  const own = issue({ name: { CN: 'opa' }, issuer: ca, dns: ['opa.test'], ips: ['127.0.0.1'] });
  const client = issue({ name: { CN: 'sidecar' }, issuer: ca });
  const bundle = directory(t, { 'policy.rego': 'package suite\n\nallow := true\n' });
  const files = directory(t, {
    'opa.pem': own.cert,
    'opa.key': own.key,
    'ca.pem': ca.cert,
  });
  const socket = join(files, 'health.sock');
  const port = await findFreePort();
  const server = await startOpaServer({
    bundle,
    socket,
    args: [
      ...['--addr', `https://127.0.0.1:${port}`, '--authentication', 'tls', '--tls-cert-file', join(files, 'opa.pem')],
      ...['--tls-private-key-file', join(files, 'opa.key'), '--tls-ca-cert-file', join(files, 'ca.pem')],
    ],
  });
  t.after(() => server.kill());
  const url = new URL(`https://127.0.0.1:${port}`);
  const asked = async (config: Partial<OpaConfig>) =>
    codeOf((await load(t, { url, ...config })).evaluate('suite', policyInput()));
  assert.equal(await asked({ tls: upstreamTlsOf({ own: client, ca }) }), '[{"allow":true}]');
  assert.equal(
    await asked({ tls: upstreamTlsOf({ own: client, ca }, { serverName: 'opa.test' }) }),
    '[{"allow":true}]',
  );
  assert.equal(await asked({ tls: upstreamTlsOf({ ca }) }), 'engine_unavailable');
  assert.equal(await asked({ tls: upstreamTlsOf({ own: client, ca: issueAuthority('other') }) }), 'engine_unavailable');
  assert.equal(
    await asked({ tls: upstreamTlsOf({ own: client, ca }, { serverName: 'elsewhere' }) }),
    'engine_unavailable',
  );
  assert.equal(await asked({ tls: undefined }), 'engine_unavailable');
});

test('a real OPA that wants a token gets it', { skip: noGo }, async (t) => {
  const bundle = directory(t, {
    'policy.rego': 'package suite\n\nallow := true\n',
    'authz.rego':
      'package system.authz\n\ndefault allow := false\n\nallow if input.identity == "s3cret"\n\nallow if input.path == ["health"]\n',
  });
  const server = await startOpaServer({ bundle, args: ['--authentication', 'token', '--authorization', 'basic'] });
  t.after(() => server.kill());
  const right = await load(t, { url: server.url, token: 's3cret' });
  assert.equal(await codeOf(right.evaluate('suite', policyInput())), '[{"allow":true}]');
  const wrong = await load(t, { url: server.url, token: 'other' });
  assert.equal(await codeOf(wrong.evaluate('suite', policyInput())), 'engine_unavailable');
});

test('names of packages that are no words reach a real OPA as they are', { skip: noGo }, async (t) => {
  const bundle = directory(t, {
    'policy.rego': 'package suite["a b"]["ü?#&=+;"]\n\nallow := true\n',
    'other.rego': 'package suite.a\n\nallow := false\n',
  });
  const server = await startOpaServer({ bundle });
  t.after(() => server.kill());
  const entrypoint = 'suite/a b/ü?#&=+;';
  const loaded = await load(t, { url: server.url }, entrypoint);
  assert.equal(await codeOf(loaded.evaluate(entrypoint, policyInput())), '[{"allow":true}]');
});

test('an entrypoint that a URL would turn into another is refused', async () => {
  for (const entrypoint of ['a/../b', '../policies', '.', 'a//b', 'a%2fb', 'a\\b', '%2e%2e/b', 'a\nb']) {
    const loading = async () => createOpaEngine(opaConfig()).load({ ...policy, entrypoints: [entrypoint] });
    await assert.rejects(loading, PolicyError, entrypoint);
  }
});

test('below a path prefix OPA is asked below it', async (t) => {
  const paths: Array<string | undefined> = [];
  const url = await listen(
    t,
    createServer((request, response) => {
      paths.push(request.url);
      response.end('{"result":true}');
    }),
  );
  const loaded = await load(t, { url: new URL('/opa', url) });
  assert.equal(await codeOf(loaded.evaluate('suite', policyInput())), '[true]');
  assert.deepEqual(paths, ['/opa/health?bundles', '/opa/v1/data/suite?provenance=true']);
});
