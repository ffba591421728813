import assert from 'node:assert/strict';
import { createHash, createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import type { TokenClients, TokenEndpointConfig } from '../../src/configured/identity.ts';
import { RequestError } from '../../src/errors.ts';
import { createTokenGrant } from '../../src/identity/grant-token.ts';
import { createIdentify } from '../../src/identity/identify.ts';

const secret = 's'.repeat(40);
const clients: TokenClients = new Map([
  [
    'planner',
    {
      client: {
        id: 'planner',
        roles: ['developer'],
        agentRole: undefined,
        permissions: ['web:read'],
        tenant: undefined,
      },
      secrets: [createHash('sha256').update(secret).digest()],
    },
  ],
]);
const right = { grantType: 'client_credentials', clientId: 'planner', clientSecret: secret, scope: undefined };

function configOf(own: Partial<TokenEndpointConfig> = {}): TokenEndpointConfig {
  const key = createSecretKey(Buffer.alloc(64, 9));
  return {
    clientsFile: '/nowhere',
    algorithm: 'HS256',
    signingKey: key,
    verifyingKey: key,
    source: { member: 'secret_env', value: 'TEST' },
    kid: 'own',
    issuer: 'https://sidecar.example',
    audience: 'opallama',
    expiresS: 60,
    perClient: 100,
    perSource: 100,
    ...own,
  };
}

const identifyWith = (tokenEndpoint: TokenEndpointConfig) =>
  createIdentify({
    jwt: [],
    issuers: [],
    removedKeyGrace: 0,
    ollamaKeys: [],
    clientCertificates: [],
    tokenEndpoint,
    anonymous: undefined,
    acceptUnknownCredentials: false,
    rolePrecedence: [],
  });

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ec = (namedCurve: string) => () => generateKeyPairSync('ec', { namedCurve }).privateKey;
const keys: ReadonlyArray<readonly [TokenEndpointConfig['algorithm'], () => KeyObject]> = [
  ['HS256', () => createSecretKey(Buffer.alloc(32, 1))],
  ['HS512', () => createSecretKey(Buffer.alloc(64, 1))],
  ['RS256', rsa],
  ['PS384', rsa],
  ['ES256', ec('P-256')],
  ['ES512', ec('P-521')],
];
for (const [algorithm, make] of keys) {
  test(`the sidecar takes back what it signed with ${algorithm}, and no other key's`, async () => {
    const signingKey = make();
    const verifyingKey = signingKey.type === 'private' ? createPublicKey(signingKey) : signingKey;
    const config = configOf({ algorithm, signingKey, verifyingKey });
    const { token } = createTokenGrant(config, () => clients).grant(right);
    const call = { method: 'GET', path: '/api/tags', query: '' };
    const principal = await identifyWith(config)(['authorization', `Bearer ${token}`], call);
    assert.deepEqual([principal.id, principal.roles, principal.permissions], ['planner', ['developer'], ['web:read']]);
    assert.throws(() => identifyWith(configOf())(['authorization', `Bearer ${token}`], call), RequestError);
  });
}

const refusal = (code: string) => (error: unknown) => error instanceof RequestError && error.code === code;

test('one address may ask so often, and is told when it may again', () => {
  const grant = createTokenGrant(configOf({ perSource: 3 }), () => clients);
  for (let times = 0; times < 3; times++) grant.admit('192.0.2.1');
  assert.throws(
    () => grant.admit('::ffff:192.0.2.1'),
    (error: unknown) =>
      error instanceof RequestError &&
      error.code === 'too_many_token_requests' &&
      /^(19|20)$/.test(error.headers['retry-after'] ?? ''),
  );
  grant.admit('192.0.2.2');
});

test('a client may ask so often, and whoever only knows its id uses up nothing of that', () => {
  const grant = createTokenGrant(configOf({ perClient: 2 }), () => clients);
  for (let times = 0; times < 5; times++)
    assert.throws(() => grant.grant({ ...right, clientSecret: 'x' }), refusal('invalid_client'));
  grant.grant(right);
  grant.grant(right);
  assert.throws(() => grant.grant(right), refusal('too_many_token_requests'));
});

test('a scope of nothing, or of more than the client has, is refused', () => {
  const grant = createTokenGrant(configOf(), () => clients);
  for (const scope of [' ', 'web:read web:write', 'web:*'])
    assert.throws(() => grant.grant({ ...right, scope }), refusal('invalid_scope'), scope);
});
