/** Which keys of a published set are used, and for what. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';

import { readKeySet } from '../../src/identity/jwks.ts';
import { keys } from './tokens.ts';

const all = ['RS256', 'PS256', 'ES256', 'ES384'] as const;

function jwkOf(key: KeyObject, more: Readonly<Record<string, unknown>> = {}) {
  return { ...key.export({ format: 'jwk' }), ...more };
}

function read(set: readonly unknown[], algorithms: Parameters<typeof readKeySet>[1] = all) {
  const result = readKeySet({ keys: set }, algorithms);
  assert.ok(typeof result !== 'string', String(result));
  return result;
}

test('a key serves the configured algorithms that it fits, and no other', () => {
  const [rsa, ec] = read([jwkOf(keys.rsa.publicKey, { kid: 'a' }), jwkOf(keys.p256.publicKey)]).keys;
  assert.deepEqual(rsa?.algorithms, ['RS256', 'PS256']);
  assert.equal(rsa?.kid, 'a');
  assert.deepEqual(ec?.algorithms, ['ES256']);
});

test('a key that names its algorithm serves that one, and none where it is not configured', () => {
  assert.deepEqual(read([jwkOf(keys.rsa.publicKey, { alg: 'PS256' })]).keys[0]?.algorithms, ['PS256']);
  const { keys: none, ignored } = read([jwkOf(keys.rsa.publicKey, { alg: 'RS512' })]);
  assert.deepEqual([none.length, ignored], [0, ['key 0: its alg is none of those that are configured']]);
});

test('of a key that is there twice one is kept, of two keys with one kid both', () => {
  const one = jwkOf(keys.rsa.publicKey, { kid: 'a' });
  const other = jwkOf(keys.otherRsa.publicKey, { kid: 'a' });
  assert.equal(read([one, one]).keys.length, 1);
  assert.equal(read([one, other]).keys.length, 2);
});

/** A modulus as the generator of CVE-2017-15361 leaves it: a power of 65537 for every small prime. No key anybody has. */
function brokenModulus(): string {
  const isPrime = (value: number): boolean => ![2, 3, 5, 7, 11].some((prime) => prime < value && value % prime === 0);
  const primes = Array.from({ length: 166 }, (_, i) => i + 2).filter(isPrime);
  const product = primes.reduce((all, prime) => all * BigInt(prime), 1n);
  const modulus = (65537n ** 20n % product) + product * ((1n << 2047n) / product + 2n);
  return Buffer.from(modulus.toString(16).padStart(512, '0'), 'hex').toString('base64url');
}

const useless: readonly (readonly [string, Readonly<Record<string, unknown>>, RegExp])[] = [
  ['a broken generator made', { kty: 'RSA', n: brokenModulus(), e: 'AQAB', alg: 'RS256' }, /CVE-2017-15361/],
  ['is for encryption', jwkOf(keys.rsa.publicKey, { use: 'enc' }), /its use can't be used/],
  ['may not verify', jwkOf(keys.rsa.publicKey, { key_ops: ['encrypt'] }), /not for verifying/],
  ['is symmetric', { kty: 'oct', k: 'AAAA', kid: 'x' }, /its kty/],
  ['shows its private part', jwkOf(keys.rsa.privateKey), /private part/],
  ['shows a private part that is not even text', jwkOf(keys.p256.publicKey, { d: null }), /private part/],
  [
    'has 1024 bits',
    jwkOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, { alg: 'RS256' }),
    /2048 bits/,
  ],
  ['has an exponent that protects nothing', jwkOf(keys.rsa.publicKey, { e: 'AQ', alg: 'RS256' }), /exponent 1/],
  [
    'is of a curve that no configured algorithm has',
    jwkOf(keys.p521.publicKey),
    /fits none of RS256, PS256, ES256, ES384/,
  ],
  ['is of a kind that is not known', jwkOf(generateKeyPairSync('ed25519').publicKey), /its kty/],
  ['has a point off its curve', jwkOf(keys.p256.publicKey, { y: 'AAAA' }), /can not be read/],
  ['is not base64url', jwkOf(keys.rsa.publicKey, { e: 'AQAB==' }), /can not be read/],
  ['has a kid that is a number', jwkOf(keys.rsa.publicKey, { kid: 7 }), /its kid/],
];

for (const [what, jwk, why] of useless) {
  test(`a key that ${what} is passed over, and the others of its set are not`, () => {
    const { keys: used, ignored } = read([jwk, jwkOf(keys.otherRsa.publicKey)]);
    assert.equal(used.length, 1);
    assert.match(ignored.join(), why);
  });
}

test('what is no set, or one of more than a hundred keys, is refused whole', () => {
  const many = Array.from({ length: 101 }, () => ({ kty: 'oct' }));
  for (const document of [undefined, null, [], {}, { keys: {} }, { keys: ['a'] }, { keys: many }])
    assert.match(String(readKeySet(document, all)), /no key set/);
});

test('an empty set is one: its issuer has taken all keys back', () => {
  assert.deepEqual(read([]), { keys: [], ignored: [] });
});
