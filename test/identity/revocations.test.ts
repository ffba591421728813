/** Tokens and certificates that count no longer although they are good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createConfiguredVerifier } from '../../src/identity/configured-key.ts';
import { createJwtAuthenticator } from '../../src/identity/jwt.ts';
import { createRevocations, parseRevocations } from '../../src/identity/revocations.ts';
import { goodClaims, hmacToken, issuer, jwtKey } from './tokens.ts';

const now = Date.parse('2026-11-21T12:00:00Z');

function listOf(...entries: readonly Readonly<Record<string, unknown>>[]) {
  const list = parseRevocations(Buffer.from(JSON.stringify({ revoked: entries })));
  assert.ok(typeof list !== 'string', String(list));
  return list.value;
}

function revoking(...entries: readonly Readonly<Record<string, unknown>>[]) {
  const revocations = createRevocations();
  revocations.replace(listOf(...entries));
  return revocations;
}

test('a token is revoked by its id, of one issuer or of any', () => {
  const any = revoking({ jti: 'a' });
  assert.equal(any.ofToken({ jti: 'a', iss: 'x' }, now), true);
  assert.equal(any.ofToken({ jti: 'b', iss: 'x' }, now), false);
  const one = revoking({ jti: 'a', issuer: 'x' });
  assert.equal(one.ofToken({ jti: 'a', iss: 'x' }, now), true);
  assert.equal(one.ofToken({ jti: 'a', iss: 'y' }, now), false);
});

test('the tokens of a subject are revoked: all, or those issued before a moment and those that do not say', () => {
  const all = revoking({ sub: 'alice' });
  assert.equal(all.ofToken({ sub: 'alice', iat: now / 1000 + 100 }, now), true);
  assert.equal(all.ofToken({ sub: 'alice2' }, now), false);
  const before = revoking({ sub: 'alice', issued_before: '2026-11-21T12:00:00Z' });
  assert.equal(before.ofToken({ sub: 'alice', iat: now / 1000 - 1 }, now), true);
  assert.equal(before.ofToken({ sub: 'alice', iat: now / 1000 }, now), false);
  assert.equal(before.ofToken({ sub: 'alice' }, now), true);
  assert.equal(before.ofToken({ sub: 'alice', iat: 'x' }, now), true);
});

test('of several entries about one subject each counts', () => {
  const list = revoking({ sub: 'alice', issuer: 'x' }, { sub: 'alice', issuer: 'y' });
  assert.equal(list.ofToken({ sub: 'alice', iss: 'y' }, now), true);
  assert.equal(list.ofToken({ sub: 'alice', iss: 'z' }, now), false);
});

test('an entry ends when it says so', () => {
  const list = revoking({ jti: 'a', expires_at: '2026-11-21T12:00:00Z' });
  assert.equal(list.ofToken({ jti: 'a' }, now - 1), true);
  assert.equal(list.ofToken({ jti: 'a' }, now), false);
});

test('a certificate is revoked by its fingerprint or its serial number, however they are written', () => {
  const fingerprint = 'ab'.repeat(32);
  const list = revoking(
    { certificate_fingerprint: fingerprint.toUpperCase().match(/../g)?.join(':') },
    { certificate_serial: '00:0A:1F' },
  );
  assert.equal(list.ofCertificate(fingerprint, '99', now), true);
  assert.equal(list.ofCertificate('cd'.repeat(32), 'A1F', now), true);
  assert.equal(list.ofCertificate('cd'.repeat(32), '0A1F', now), true);
  assert.equal(list.ofCertificate('cd'.repeat(32), '1F', now), false);
});

test('a remembered token is refused from the moment in which it stands on the list', () => {
  const revocations = createRevocations();
  const authenticate = createJwtAuthenticator([createConfiguredVerifier(jwtKey())], revocations);
  const [alice, bob] = ['alice', 'bob'].map((sub) => hmacToken(goodClaims({ sub, jti: `of ${sub}` })));
  const ask = (value = ''): string => JSON.stringify(authenticate({ scheme: 'bearer', value }));
  assert.match(ask(alice), /principal/);
  assert.match(ask(bob), /principal/);
  revocations.replace(listOf({ jti: 'of alice' }));
  assert.match(ask(alice), /the token was revoked/);
  assert.match(ask(alice), /the token was revoked/);
  assert.match(ask(bob), /principal/);
  revocations.replace(listOf());
  assert.match(ask(alice), /principal/);
});

test('a token that stands on the list is not let in when it comes first', () => {
  const authenticate = createJwtAuthenticator([createConfiguredVerifier(jwtKey())], revoking({ sub: 'alice', issuer }));
  assert.match(JSON.stringify(authenticate({ scheme: 'bearer', value: hmacToken() })), /revoked/);
});

const refused: readonly (readonly [string, Readonly<Record<string, unknown>>, RegExp])[] = [
  ['names nothing', {}, /exactly one of/],
  ['names two things', { jti: 'a', sub: 'b' }, /exactly one of/],
  ['has a slip of the pen', { jit: 'a' }, /jit/],
  ['has an issuer of a certificate', { certificate_serial: '1', issuer: 'x' }, /issuer goes with/],
  ['has issued_before of a token', { jti: 'a', issued_before: '2026-11-21T12:00:00Z' }, /issued_before goes with/],
  ['has a whole API key', { api_key: `opl_abcdefghijkl_${'A'.repeat(43)}` }, /without its secret/],
  ['has half a fingerprint', { certificate_fingerprint: 'abcd' }, /64 hexadecimal/],
];

for (const [what, entry, why] of refused) {
  test(`a list with an entry that ${what} is refused whole`, () => {
    const bytes = Buffer.from(JSON.stringify({ revoked: [{ jti: 'good' }, entry] }));
    assert.match(String(parseRevocations(bytes)), why);
  });
}
