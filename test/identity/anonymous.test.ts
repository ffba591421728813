/** Nobody unknown enters unless the configuration says so, and a wrong credential is not the same as none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedWith } from './refusals.ts';
import { bearer, goodClaims, hmacToken, identifier } from './tokens.ts';

const guest = { roles: ['guest'] };
const expired = hmacToken(goodClaims({ exp: 1, roles: ['admin'] }));

test('without a configured anonymous nobody enters without a credential', () => {
  refusedWith('missing_credentials', () => identifier()([]));
  refusedWith('missing_credentials', () => identifier({ jwt: [] })([]));
  refusedWith('missing_credentials', () => identifier({ acceptUnknownCredentials: true })([]));
});

test('the anonymous caller has the roles that the configuration gives and nothing else', () => {
  assert.deepEqual(identifier({ anonymous: guest })(['Host', 'x']), {
    id: 'anonymous',
    kind: 'anonymous',
    roles: ['guest'],
    agentRole: undefined,
    permissions: [],
    tenant: undefined,
    claims: {},
  });
});

test('a good token counts where anonymous callers are let in as well', () => {
  assert.equal(identifier({ anonymous: guest })(bearer(hmacToken())).id, 'alice');
});

for (const [title, headers] of [
  ['an expired token', bearer(expired)],
  ['a key that nobody knows', bearer('sk-ollama')],
  ['a key in x-api-key', ['x-api-key', 'ollama']],
  ['a scheme that is not known', ['Authorization', 'Basic b2xsYW1hOg==']],
  ['an empty credential', ['Authorization', '']],
] as const) {
  test(`${title} is refused although anonymous callers are let in`, () => {
    refusedWith('invalid_credentials', () => identifier({ anonymous: guest })(headers));
    refusedWith('invalid_credentials', () => identifier({ anonymous: guest, jwt: [] })(headers));
  });

  test(`${title} makes an anonymous caller where accept_unknown_credentials says so`, () => {
    const { id, roles } = identifier({ anonymous: guest, acceptUnknownCredentials: true })(headers);
    assert.deepEqual({ id, roles }, { id: 'anonymous', roles: ['guest'] });
  });

  test(`${title} is refused where accept_unknown_credentials is set and no anonymous`, () => {
    refusedWith('invalid_credentials', () => identifier({ acceptUnknownCredentials: true })(headers));
  });
}
