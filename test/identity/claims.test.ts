/** What a verified token must say, and what a principal is read from. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import type { JwtConfig } from '../../src/configured/identity.ts';
import { refusedWith } from './refusals.ts';
import { bearer, goodClaims, hmacToken, identifier, inSeconds, jwtKey, secret } from './tokens.ts';

function identify(over: Readonly<Record<string, unknown>>, key: Partial<JwtConfig> = {}) {
  return identifier({ jwt: [jwtKey(key)] })(bearer(hmacToken(goodClaims(over))));
}

const refused: ReadonlyArray<readonly [title: string, claims: Readonly<Record<string, unknown>>, message: RegExp]> = [
  ['another issuer', { iss: 'https://evil.test' }, /another issuer/],
  ['no issuer', { iss: undefined }, /another issuer/],
  ['a list of issuers that holds the right one', { iss: ['https://id.test'] }, /another issuer/],
  ['another audience', { aud: 'other' }, /another audience/],
  ['no audience', { aud: undefined }, /another audience/],
  ['an audience of which ours is a part', { aud: 'opallama-admin' }, /another audience/],
  ['no audience in its list', { aud: [] }, /another audience/],
  ['an expiry that has passed', { exp: inSeconds(-1) }, /expired/],
  ['no expiry', { exp: undefined }, /"exp"/],
  ['an expiry of the wrong type', { exp: String(inSeconds(600)) }, /not valid/],
  ['a start that lies ahead', { nbf: inSeconds(60) }, /not valid yet/],
  ['a start of the wrong type', { nbf: 'soon' }, /not valid/],
  ['no subject', { sub: undefined }, /no subject/],
  ['an empty subject', { sub: '' }, /no subject/],
  ['a subject that is a number', { sub: 7 }, /no subject/],
  ['roles that are a number', { roles: 7 }, /roles/],
  ['roles that are an object', { roles: { admin: true } }, /roles/],
  ['roles that are null', { roles: null }, /roles/],
  ['roles that are null beside a role', { roles: null, role: 'admin' }, /roles/],
  ['roles among which one is no string', { roles: ['dev', ['admin']] }, /roles/],
  ['a role that is an object', { role: { name: 'admin' } }, /role/],
  ['an agent role that is a list', { agent_role: ['admin'] }, /agent role/],
  ['an agent role that is null', { agent_role: null, role: 'admin' }, /agent role/],
  ['permissions that are a number', { permissions: 3 }, /permissions/],
  ['permissions that are null', { permissions: null, scope: 'all' }, /permissions/],
  ['a scope that is an object', { scope: {} }, /permissions/],
  ['a tenant that is a number', { tenant: 12 }, /tenant/],
  ['a tenant that is null', { tenant: null }, /tenant/],
];

for (const [title, claims, message] of refused) {
  test(`a token with ${title} is refused, and the answer says why`, () => {
    assert.match(refusedWith('invalid_credentials', () => identify(claims)).message, message);
  });
}

test('claims beyond 2^53 keep every digit, so that two ids stay two', () => {
  const claims = (id: string) => {
    const text = Buffer.from(hmacToken(goodClaims({ uid: '@' })).split('.')[1] ?? '', 'base64url').toString();
    const principal = identifier()(bearer(hmacRaw(text.replace('"@"', id))));
    assert.equal(principal.id, 'alice');
    return JSON.stringify(principal.claims['uid']);
  };
  assert.equal(claims('9007199254740993'), '9007199254740993');
  assert.equal(claims('9007199254740992'), '9007199254740992');
  assert.equal(claims('-123456789012345678901234567890'), '-123456789012345678901234567890');
  assert.equal(claims('7'), '7');
  refusedWith('invalid_credentials', () => claims('1e999'));
});

test('an expiry beyond every number is none', () => {
  const [header, , signature] = hmacToken().split('.');
  assert.ok(header !== undefined && signature !== undefined);
  // 1e999 is Infinity for JSON.parse: a token that would never end.
  const token = hmacToken(goodClaims({ exp: '@' }));
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  assert.ok(claims.includes('"@"'));
  const endless = hmacRaw(claims.replace('"@"', '1e999'));
  refusedWith('invalid_credentials', () => identifier()(bearer(endless)));
});

test('the clock tolerance of a key holds at both ends and no further', () => {
  assert.equal(identify({ exp: inSeconds(-20) }, { clockToleranceS: 30 }).id, 'alice');
  assert.equal(identify({ nbf: inSeconds(20) }, { clockToleranceS: 30 }).id, 'alice');
  refusedWith('invalid_credentials', () => identify({ exp: inSeconds(-40) }, { clockToleranceS: 30 }));
  refusedWith('invalid_credentials', () => identify({ nbf: inSeconds(40) }, { clockToleranceS: 30 }));
});

test('the principal is read from the claims that a token has by default', () => {
  const claims = goodClaims({
    aud: ['other', 'opallama'],
    roles: ['dev', 'ops'],
    agent_role: 'dev',
    permissions: ['read'],
    scope: 'not this',
    tenant: 'acme',
    extra: { deep: [1] },
  });
  const principal = identifier()(bearer(hmacToken(claims)));
  assert.deepEqual(principal, {
    id: 'alice',
    kind: 'jwt',
    roles: ['dev', 'ops'],
    agentRole: 'dev',
    permissions: ['read'],
    tenant: 'acme',
    claims,
  });
});

test('a token that says nothing of roles has none', () => {
  const { roles, agentRole, permissions, tenant } = identify({});
  assert.deepEqual(
    { roles, agentRole, permissions, tenant },
    {
      roles: [],
      agentRole: undefined,
      permissions: [],
      tenant: undefined,
    },
  );
});

test('a single role is the list of roles and the agent role', () => {
  const { roles, agentRole } = identify({ role: 'intern' });
  assert.deepEqual({ roles, agentRole }, { roles: ['intern'], agentRole: 'intern' });
  assert.deepEqual(identify({ role: 'intern', roles: ['dev'] }).roles, ['dev']);
});

test('a scope is a list with spaces', () => {
  assert.deepEqual(identify({ scope: ' chat  models:read ' }).permissions, ['chat', 'models:read']);
});

test('claims are found along configured paths, and only there', () => {
  const claims = {
    id: 'user.email',
    roles: 'realm_access.roles',
    agent_role: 'acting.as',
    permissions: 'grants',
    tenant: 'org.id',
  };
  const principal = identify(
    {
      user: { email: 'a@b.test' },
      realm_access: { roles: ['dev'] },
      roles: ['admin'],
      role: 'admin',
      acting: { as: 'dev' },
      agent_role: 'admin',
      grants: ['x'],
      scope: 'everything',
      org: { id: 'acme' },
      tenant: 'evil',
    },
    { claims },
  );
  assert.deepEqual(
    [principal.id, principal.roles, principal.agentRole, principal.permissions, principal.tenant],
    ['a@b.test', ['dev'], 'dev', ['x'], 'acme'],
  );
  const without = identify({ user: { email: 'a@b.test' }, roles: ['admin'], role: 'admin', scope: 'all' }, { claims });
  assert.deepEqual(
    [without.roles, without.agentRole, without.permissions, without.tenant],
    [[], undefined, [], undefined],
  );
});

test('permissions may be words between spaces wherever they stand, a role is one text', () => {
  const claims = { permissions: 'scp', roles: 'groups' };
  const { permissions, roles } = identify({ scp: 'web:read web:write', groups: 'data scientists' }, { claims });
  assert.deepEqual([permissions, roles], [['web:read', 'web:write'], ['data scientists']]);
});

test('a claim whose name has dots is named by a list', () => {
  const roles = ['https://claims.test/access', 'roles'];
  const token = { 'https://claims.test/access': { roles: ['dev'] }, 'https://claims': { 'test/access': 'admin' } };
  assert.deepEqual(identify(token, { claims: { roles } }).roles, ['dev']);
  assert.deepEqual(identify({}, { claims: { roles: ['constructor', 'name'] } }).roles, []);
});

test('with a prefix only what begins so counts, and without it', () => {
  const claims = { roles_prefix: 'ollama-', permissions_prefix: 'ollama:' };
  const { roles, agentRole, permissions } = identify(
    {
      roles: ['ollama-dev', 'admin', 'Ollama-admin', 'ollama-', 'x-ollama-admin'],
      agent_role: 'ollama-dev',
      scope: 'ollama:web:read other:web:write web:write ollama:ollama:x',
    },
    { claims },
  );
  assert.deepEqual([roles, agentRole, permissions], [['dev'], 'dev', ['web:read', 'ollama:x']]);
  assert.equal(identify({ role: 'admin' }, { claims }).agentRole, undefined);
});

test('a path never leads into what an object inherits', () => {
  assert.deepEqual(identify({}, { claims: { roles: 'constructor.name' } }).roles, []);
  assert.deepEqual(identify({ roles: ['dev'] }, { claims: { tenant: 'roles.at' } }).tenant, undefined);
});

function hmacRaw(claims: string): string {
  const marker = hmacToken({ marker: true });
  const [header = ''] = marker.split('.');
  const text = `${header}.${Buffer.from(claims).toString('base64url')}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
