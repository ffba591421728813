/** What counts of the claims of a service account's token. Tokens of a real kube-apiserver: `npm run test:kubernetes`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesConfig, ServiceAccountConfig } from '../../src/configured/identity.ts';
import { readServiceAccount } from '../../src/identity/kubernetes.ts';

const anyone: ServiceAccountConfig = {
  namespace: '*',
  name: '*',
  roles: [],
  agentRole: undefined,
  permissions: [],
  tenant: undefined,
};
const configOf = (...serviceAccounts: ServiceAccountConfig[]): KubernetesConfig => ({
  issuer: 'https://kubernetes.default.svc.cluster.local',
  audience: 'opallama',
  algorithms: ['RS256'],
  apiServer: new URL('https://kubernetes.default.svc'),
  caFile: '/nowhere',
  tokenFile: '/nowhere',
  jwksFile: undefined,
  maxLifetimeS: 86_400,
  clockToleranceS: 0,
  serviceAccounts,
});

/** As a kubelet's token has them. */
const bound = {
  namespace: 'agents',
  serviceaccount: { name: 'planner', uid: '6c5f' },
  pod: { name: 'planner-7d4b', uid: '1b2c' },
  node: { name: 'node-1', uid: '77aa' },
};
const claims = {
  iss: 'https://kubernetes.default.svc.cluster.local',
  aud: ['opallama'],
  sub: 'system:serviceaccount:agents:planner',
  iat: 1_000,
  nbf: 1_000,
  exp: 4_600,
  jti: 'x',
  'kubernetes.io': bound,
};

test('the id is the user name of Kubernetes, the tenant the namespace, and the claims are there for policy', () => {
  const principal = readServiceAccount(claims, configOf({ ...anyone, roles: ['reader'] }));
  assert.deepEqual(principal, {
    id: 'system:serviceaccount:agents:planner',
    kind: 'kubernetes',
    roles: ['reader'],
    agentRole: undefined,
    permissions: [],
    tenant: 'agents',
    claims,
  });
});

test('the first entry that fits counts', () => {
  const config = configOf(
    { ...anyone, namespace: 'agents', name: 'other', roles: ['a'] },
    { ...anyone, namespace: 'agents', name: 'planner', roles: ['b'], tenant: 'blue', permissions: ['web:read'] },
    { ...anyone, namespace: 'agents', roles: ['c'] },
  );
  const principal = readServiceAccount(claims, config);
  assert.ok(typeof principal !== 'string');
  assert.deepEqual([principal.roles, principal.tenant, principal.permissions], [['b'], 'blue', ['web:read']]);
});

for (const [what, changed, why] of [
  ['no claim of Kubernetes', { 'kubernetes.io': undefined }, /not one of a service account/],
  ['a claim of another form', { 'kubernetes.io': { ...bound, serviceaccount: 'planner' } }, /not one of a service/],
  ['an empty namespace', { 'kubernetes.io': { ...bound, namespace: '' } }, /not one of a service account/],
  ['the subject of another account', { sub: 'system:serviceaccount:agents:root' }, /is not the service account/],
  ['the subject of a node', { sub: 'system:node:node-1' }, /is not the service account/],
  ['no time of issue', { iat: undefined }, /max_lifetime/],
  ['a year to live', { exp: 1_000 + 365 * 86_400 }, /max_lifetime/],
  [
    'another namespace',
    { sub: 'system:serviceaccount:x:planner', 'kubernetes.io': { ...bound, namespace: 'x' } },
    /not listed/,
  ],
] as const) {
  test(`a token is refused that has ${what}`, () => {
    const answer = readServiceAccount({ ...claims, ...changed }, configOf({ ...anyone, namespace: 'agents' }));
    assert.ok(typeof answer === 'string', 'it was taken');
    assert.match(answer, why);
  });
}

test('a star fits every name and no part of one', () => {
  const [whole, part] = [configOf(anyone), configOf({ ...anyone, namespace: 'agent*' })];
  assert.notEqual(typeof readServiceAccount(claims, whole), 'string');
  assert.equal(typeof readServiceAccount(claims, part), 'string');
});
