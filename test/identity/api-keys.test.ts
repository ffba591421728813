/** API keys: who has one is who the file says, and nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createApiKey, hashApiKey } from '../../src/identity/api-key.ts';
import { createApiKeyAuthenticator } from '../../src/identity/api-key-authenticator.ts';
import { parseApiKeyFile } from '../../src/identity/api-key-file.ts';
import { createRevocations, parseRevocations } from '../../src/identity/revocations.ts';

const now = Date.parse('2026-11-21T12:00:00Z');

type Members = Readonly<Record<string, unknown>>;

function entryOf({ id, hash }: { readonly id: string; readonly hash: string }, over: Members = {}): Members {
  return { id, hash, principal: 'ci', roles: ['developer'], ...over };
}

function parse(...entries: readonly Members[]) {
  const parsed = parseApiKeyFile(Buffer.from(JSON.stringify({ keys: entries })));
  assert.ok(typeof parsed !== 'string', String(parsed));
  return parsed.value;
}

function withKeys(...entries: readonly Members[]) {
  const clock = { ms: now };
  const revocations = createRevocations();
  const { authenticate, replace } = createApiKeyAuthenticator(revocations, () => clock.ms);
  replace(parse(...entries));
  const ask = (value: string, scheme: 'bearer' | 'api_key' | 'other' = 'bearer'): string => {
    const answer = authenticate({ scheme, value });
    if (answer === 'not mine') return answer;
    return 'principal' in answer ? answer.principal.id : JSON.stringify(answer);
  };
  return { ask, authenticate, replace, revocations, clock };
}

test('a key is its principal, with the roles, permissions and tenant of the file', () => {
  const created = createApiKey();
  const { authenticate } = withKeys(
    entryOf(created, { agent_role: 'developer', permissions: ['web:read'], tenant: 'acme' }),
  );
  assert.deepEqual(authenticate({ scheme: 'api_key', value: created.key }), {
    principal: {
      id: 'ci',
      kind: 'api_key',
      roles: ['developer'],
      agentRole: 'developer',
      permissions: ['web:read'],
      tenant: 'acme',
      claims: {},
    },
  });
});

test('no two keys are alike, nor are the salts of their hashes, and the hash holds nothing of the key', () => {
  const [a, b] = [createApiKey(), createApiKey()];
  assert.notEqual(a.key, b.key);
  assert.notEqual(a.hash.split(':')[1], b.hash.split(':')[1]);
  assert.ok(!a.hash.includes(a.key.slice(17, 30)));
  assert.match(a.key, /^opl_[a-z2-7]{12}_[A-Za-z0-9_-]{43}$/);
  assert.notDeepEqual(hashApiKey(a.key, Buffer.alloc(16)), hashApiKey(a.key, Buffer.alloc(16, 1)));
});

test('another secret behind a known id, an unknown id and what only begins like a key are refused with one text', () => {
  const [known, other] = [createApiKey(), createApiKey()];
  const { ask } = withKeys(entryOf(known));
  const text = '{"rejected":"the API key is not known"}';
  const mixed = `opl_${known.id}_${other.key.slice(17)}`;
  for (const value of [
    mixed,
    other.key,
    'opl_',
    `${known.key} `,
    known.key.slice(0, -1),
    `${known.key}A`,
    known.key.toUpperCase().replace('OPL', 'opl'),
  ])
    assert.equal(ask(value), text, value);
  assert.equal(ask(known.key), 'ci');
});

test('what does not begin like a key, or was sent without a scheme, is somebody else’s', () => {
  const created = createApiKey();
  const { ask } = withKeys(entryOf(created));
  assert.equal(ask('sk-1234'), 'not mine');
  assert.equal(ask(created.key, 'other'), 'not mine');
});

test('a key that expired or was revoked is refused, and only who has it hears why', () => {
  const [expiring, revoked] = [createApiKey(), createApiKey()];
  const { ask, clock } = withKeys(
    entryOf(expiring, { expires_at: '2026-11-21T13:00:00+00:00' }),
    entryOf(revoked, { revoked_at: '2026-11-21T11:00:00Z' }),
  );
  assert.equal(ask(expiring.key), 'ci');
  clock.ms = Date.parse('2026-11-21T13:00:00Z');
  assert.match(ask(expiring.key), /expired/);
  assert.match(ask(revoked.key), /revoked/);
  assert.match(ask(`opl_${revoked.id}_${expiring.key.slice(17)}`), /not known/);
});

test('a key on the list of revocations is refused until its entry expires', () => {
  const created = createApiKey();
  const { ask, revocations, clock } = withKeys(entryOf(created));
  const list = parseRevocations(
    Buffer.from(`revoked: [{ api_key: opl_${created.id}, expires_at: 2026-11-21T13:00:00Z }]`),
  );
  assert.ok(typeof list !== 'string', String(list));
  revocations.replace(list.value);
  assert.match(ask(created.key), /revoked/);
  clock.ms = Date.parse('2026-11-21T13:00:00Z');
  assert.equal(ask(created.key), 'ci');
});

test('a key that is no longer in the file is refused from then on', () => {
  const [a, b] = [createApiKey(), createApiKey()];
  const { ask, replace } = withKeys(entryOf(a), entryOf(b));
  assert.equal(ask(a.key), 'ci');
  replace(parse(entryOf(b)));
  assert.match(ask(a.key), /not known/);
  assert.equal(ask(b.key), 'ci');
});

const created = createApiKey();
const refused: readonly (readonly [string, string, RegExp])[] = [
  ['no list', 'keys: 1', /keys/],
  ['nothing', '', /can not be used/],
  ['no YAML', 'keys: [', /line 1/],
  ['a member that is not known', JSON.stringify({ keys: [entryOf(created, { role: 'x' })] }), /role/],
  ['no roles', JSON.stringify({ keys: [entryOf(created, { roles: [] })] }), /roles/],
  ['a hash of another kind', JSON.stringify({ keys: [entryOf(created, { hash: 'abc' })] }), /sha256:<salt>:<hash>/],
  ['a key in the place of its hash', JSON.stringify({ keys: [entryOf(created, { hash: created.key })] }), /hash/],
  ['an id twice', JSON.stringify({ keys: [entryOf(created), entryOf(created)] }), /another key too/],
  [
    'a time without its zone',
    JSON.stringify({ keys: [entryOf(created, { expires_at: '2026-01-01' })] }),
    /a time such as/,
  ],
  ['aliases', 'keys: &a [*a]', /aliases|can not be used/],
];

for (const [what, text, why] of refused) {
  test(`a file with ${what} is refused whole, and nothing of a key is quoted`, () => {
    const parsed = parseApiKeyFile(Buffer.from(text));
    assert.match(String(parsed), why);
    assert.ok(!String(parsed).includes(created.key.slice(17)));
  });
}
