/** Tokens that a real kube-apiserver issues, and its keys, as a pod gets them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import jsonwebtoken from 'jsonwebtoken';
import type { KubernetesConfig } from '../../src/configured/identity.ts';
import { createJwtAuthenticator } from '../../src/identity/jwt.ts';
import { createKubernetesVerifier } from '../../src/identity/kubernetes.ts';
import { createKubernetesKeys } from '../../src/identity/kubernetes-keys.ts';
import { createRevocations } from '../../src/identity/revocations.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { type Cluster, startCluster } from '../support/kubernetes/cluster.ts';
import { portOf } from '../support/port-of.ts';

/** The shipped way to decide by namespace and pod; `roles` stay what the configuration says. */
const policy = {
  'authz.rego': `package ollama.authz

default allow := false

allow if {
	"developer" in input.principal.roles
	input.principal.claims["kubernetes.io"].namespace == "agents"
	startswith(input.principal.claims["kubernetes.io"].pod.name, "planner-")
}
`,
};

const audience = 'opallama';
const planner = { namespace: 'agents', name: 'planner' };
const stranger = { namespace: 'elsewhere', name: 'planner' };
const own = { namespace: 'ollama', name: 'opallama' };

let cluster: Cluster;
let upstream: Server;
let sidecar: TestSidecar;
let config: KubernetesConfig;
let pod: { name: string; uid: string };

before(async () => {
  cluster = await startCluster();
  for (const account of [planner, stranger, own]) await cluster.addServiceAccount(account);
  pod = { name: 'planner-7d4b', uid: await cluster.addPod(planner, 'planner-7d4b') };
  const tokenFile = join(cluster.directory, 'own-token');
  // Nothing is granted to this account: reading the keys is every service account's right.
  writeFileSync(tokenFile, await cluster.token(own, {}));
  config = {
    issuer: cluster.issuer,
    audience,
    algorithms: ['RS256', 'ES256'],
    apiServer: cluster.url,
    caFile: cluster.caFile,
    tokenFile,
    jwksFile: undefined,
    maxLifetimeS: 86_400,
    clockToleranceS: 0,
    serviceAccounts: [
      { ...planner, roles: ['developer'], agentRole: undefined, permissions: ['web:read'], tenant: undefined },
    ],
  };
  upstream = createServer((_request, response) => response.end('{"models":[]}')).listen(0, '127.0.0.1');
  await new Promise((resolve) => upstream.once('listening', resolve));
  sidecar = await startTestSidecar({ upstream: urlOf(upstream), policy, kubernetes: config });
});
after(async () => {
  await sidecar.close();
  upstream.close();
  await cluster.stop();
});

function urlOf(server: Server): string {
  const port = portOf(server);
  return `http://127.0.0.1:${port}`;
}

const ask = (token: string, at: TestSidecar = sidecar) =>
  fetch(`${at.url}/api/tags`, { headers: { authorization: `Bearer ${token}` } });

async function refusal(token: string): Promise<readonly [number, string]> {
  const answer = await ask(token);
  await answer.text();
  return [answer.status, answer.headers.get('www-authenticate') ?? ''];
}

test("a pod's token is its service account, and policy sees namespace and pod", async () => {
  const seen = sidecar.events.length;
  const answer = await ask(await cluster.token(planner, { audience, pod }));
  assert.equal(answer.status, 200, await answer.text());
  const event = (await sidecar.waitForEvents(seen + 1)).at(-1);
  assert.deepEqual(
    [event?.principal, event?.tenant, event?.agent_role, event?.policy_result],
    ['system:serviceaccount:agents:planner', 'agents', 'developer', 'allow'],
  );
});

test('a token that is bound to another pod, or to none, is the same account, and policy can tell', async () => {
  const other = { name: 'shell', uid: await cluster.addPod(planner, 'shell') };
  for (const token of [
    await cluster.token(planner, { audience, pod: other }),
    await cluster.token(planner, { audience }),
  ]) {
    const answer = await ask(token);
    assert.equal(answer.status, 403, await answer.text());
  }
});

test('what is not for the sidecar, or not of a listed account, is 401 and says why', async () => {
  const good = await cluster.token(planner, { audience, pod });
  const [head, payload, signature] = good.split('.');
  const claims: unknown = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
  assert.ok(typeof claims === 'object' && claims !== null);
  const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'system:serviceaccount:agents:root' })).toString(
    'base64url',
  );
  for (const [what, token, why] of [
    ['for the API server', await cluster.token(planner, { pod }), /for another audience/],
    ['for another service', await cluster.token(planner, { audience: 'vault', pod }), /for another audience/],
    ['of an account that is not listed', await cluster.token(stranger, { audience }), /not listed/],
    ['valid for two days', await cluster.token(planner, { audience, seconds: 172_800 }), /max_lifetime/],
    ['changed', [head, forged, signature].join('.'), /signature/],
    ['the own one', await cluster.token(own, {}), /for another audience/],
  ] as const) {
    const [status, header] = await refusal(token);
    assert.equal(status, 401, what);
    assert.match(header, why, what);
  }
});

test('a token holds to its last second and no longer, remembered or not', async () => {
  const token = await cluster.token(planner, { audience, pod, seconds: 600 });
  const claims = jsonwebtoken.decode(token);
  assert.ok(typeof claims === 'object' && claims !== null);
  const { exp = 0, iat = 0 } = claims;
  assert.equal(exp - iat, 600);
  let now = Date.now();
  const keys = createKubernetesKeys(config, { graceMs: 0, watching: { onReload: () => {} } });
  await keys.refresh();
  const authenticate = createJwtAuthenticator([createKubernetesVerifier(config, keys)], createRevocations(), () => now);
  const known = async () => JSON.stringify(await authenticate({ scheme: 'bearer', value: token }));
  assert.match(await known(), /system:serviceaccount:agents:planner/);
  now = exp * 1000 - 1;
  assert.match(await known(), /system:serviceaccount:agents:planner/);
  now = exp * 1000;
  assert.match(await known(), /expired/);
  keys.close();
});

test('the keys may come from a file, and the API server is not asked then', async (t) => {
  const jwksFile = join(cluster.directory, 'jwks.json');
  writeFileSync(jwksFile, JSON.stringify(await cluster.ask('GET', '/openid/v1/jwks')));
  const apart = await startTestSidecar({
    upstream: urlOf(upstream),
    policy,
    kubernetes: { ...config, jwksFile, apiServer: new URL('https://127.0.0.1:9'), tokenFile: '/nowhere' },
  });
  t.after(() => apart.close());
  const answer = await ask(await cluster.token(planner, { audience, pod }), apart);
  assert.equal(answer.status, 200, await answer.text());
});

test('without the keys a token is 503, and works once the sidecar is a pod that the API server knows', async (t) => {
  const tokenFile = join(cluster.directory, 'wrong-token');
  writeFileSync(tokenFile, 'no-token-at-all');
  const apart = await startTestSidecar({ upstream: urlOf(upstream), policy, kubernetes: { ...config, tokenFile } });
  t.after(() => apart.close());
  const token = await cluster.token(planner, { audience, pod });
  const early = await ask(token, apart);
  assert.deepEqual([early.status, early.headers.get('x-opallama-reason')], [503, 'keys_unavailable']);
  writeFileSync(tokenFile, `${await cluster.token(own, {})}\n`);
  await apart.app.reload();
  const answer = await ask(token, apart);
  assert.equal(answer.status, 200, await answer.text());
});
