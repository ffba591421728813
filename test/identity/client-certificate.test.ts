/** A certificate beside the credentials of a request: who calls, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Certified } from '../../src/identity/client-certificate.ts';
import { refusedWith } from './refusals.ts';
import { bearer, goodClaims, hmacToken, identifier } from './tokens.ts';

function certified(over: Partial<Certified> & { readonly id?: string } = {}): Certified {
  const { id = 'planner', ...rest } = over;
  return {
    principal: {
      id,
      kind: 'client_certificate',
      roles: ['developer'],
      agentRole: undefined,
      permissions: [],
      tenant: undefined,
      claims: {},
    },
    carriesTokens: false,
    calls: true,
    ...rest,
  };
}

const aliceToken = bearer(hmacToken());
const expiredToken = bearer(hmacToken(goodClaims({ exp: 1 })));
const anonymous = { roles: ['guest'] };
const carrier = certified({ carriesTokens: true });

test('a certificate alone is its caller, also where anonymous callers are let in', () => {
  for (const over of [{}, { jwt: [] }, { anonymous }])
    assert.equal(identifier(over)([], undefined, certified()).kind, 'client_certificate');
});

test('a token of the same caller counts, with its own roles', () => {
  const principal = identifier()(aliceToken, undefined, certified({ id: 'alice' }));
  assert.deepEqual([principal.id, principal.kind], ['alice', 'jwt']);
});

test('a token of another caller is refused, with a challenge', () => {
  const error = refusedWith('conflicting_credentials', () => identifier()(aliceToken, undefined, certified()));
  assert.match(error.headers['www-authenticate'] ?? '', /another caller's/);
  const lenient = identifier({ anonymous, acceptUnknownCredentials: true });
  refusedWith('conflicting_credentials', () => lenient(aliceToken, undefined, certified()));
});

test('on a connection that carries tokens the token is the caller, and without one the carrier', () => {
  assert.equal(identifier()(aliceToken, undefined, carrier).id, 'alice');
  assert.equal(identifier()([], undefined, carrier).id, 'planner');
});

test('a carrier without roles is no caller', () => {
  const silent = certified({ carriesTokens: true, calls: false });
  assert.equal(identifier()(aliceToken, undefined, silent).id, 'alice');
  refusedWith('missing_credentials', () => identifier()([], undefined, silent));
  assert.equal(identifier({ anonymous })([], undefined, silent).id, 'anonymous');
});

test('a wrong credential is refused in spite of a good certificate', () => {
  for (const headers of [expiredToken, bearer('sk-whatever'), ['x-api-key', 'ollama']])
    for (const one of [certified(), carrier])
      refusedWith('invalid_credentials', () => identifier({ anonymous })(headers, undefined, one));
});

test('accept_unknown_credentials makes a wrong credential none: the certificate counts, but never a carrier', () => {
  for (const over of [{}, { anonymous }]) {
    const identify = identifier({ ...over, acceptUnknownCredentials: true });
    assert.equal(identify(bearer('ollama'), undefined, certified()).id, 'planner');
  }
  const open = identifier({ acceptUnknownCredentials: true, anonymous });
  assert.equal(open(expiredToken, undefined, carrier).id, 'anonymous');
  const closed = identifier({ acceptUnknownCredentials: true });
  refusedWith('invalid_credentials', () => closed(expiredToken, undefined, carrier));
});
