/** What the head of a token may say, and how it may be spelled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedWith } from './refusals.ts';
import { bearer, encode, goodClaims, hmacKey, hmacToken, identifier, jwtKey, seal, secret } from './tokens.ts';

test('a key with an id verifies only tokens that name it', () => {
  const identify = identifier({
    jwt: [jwtKey({ kid: 'old' }), jwtKey({ kid: 'new', key: hmacKey(`${secret} new`) })],
  });
  const made = (kid: string | undefined, by = secret) => bearer(hmacToken(goodClaims(), { alg: 'HS256', kid }, by));
  assert.equal(identify(made('old')).id, 'alice');
  assert.equal(identify(made('new', `${secret} new`)).id, 'alice');
  refusedWith('invalid_credentials', () => identify(made('new')));
  refusedWith('invalid_credentials', () => identify(made('other')));
  refusedWith('invalid_credentials', () => identify(made(undefined)));
});

test('a key without an id takes tokens with any', () => {
  assert.equal(identifier()(bearer(hmacToken(goodClaims(), { alg: 'HS256', kid: 'whatever' }))).id, 'alice');
});

test('each of several keys is tried, and none of them makes up for another', () => {
  const identify = identifier({
    jwt: [
      jwtKey({ issuer: 'https://one.test' }),
      jwtKey({ issuer: 'https://two.test', key: hmacKey(`${secret} two`), claims: { id: 'email' } }),
    ],
  });
  const two = goodClaims({ iss: 'https://two.test', email: 'bob@two.test' });
  assert.equal(identify(bearer(hmacToken(goodClaims({ iss: 'https://one.test' })))).id, 'alice');
  assert.equal(identify(bearer(hmacToken(two, { alg: 'HS256' }, `${secret} two`))).id, 'bob@two.test');
  refusedWith('invalid_credentials', () => identify(bearer(hmacToken(two))));
});

test('a key id that is not a string is refused', () => {
  for (const kid of [1, null, {}, ['old'], true]) {
    refusedWith('invalid_credentials', () => identifier()(bearer(hmacToken(goodClaims(), { alg: 'HS256', kid }))));
  }
});

for (const name of ['jku', 'x5u', 'jwk', 'x5c', 'crit']) {
  test(`a token whose header brings "${name}" is refused, although its signature holds`, () => {
    const token = hmacToken(goodClaims(), { alg: 'HS256', [name]: name === 'crit' ? ['exp'] : 'https://evil.test/k' });
    const { message } = refusedWith('invalid_credentials', () => identifier()(bearer(token)));
    assert.match(message, new RegExp(`"${name}"`));
  });
}

test('an unencoded payload (RFC 7797) is refused', () => {
  refusedWith('invalid_credentials', () =>
    identifier()(bearer(hmacToken(goodClaims(), { alg: 'HS256', b64: false, crit: ['b64'] }))),
  );
});

test('one token has one spelling: trailing bits, padding and the other alphabet are refused', () => {
  const identify = identifier();
  // 32 bytes of signature leave two bits of the last letter unused.
  const token = hmacToken(goodClaims({ sub: 'alice??>>~~' }));
  assert.equal(identify(bearer(token)).id, 'alice??>>~~');
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = letters.indexOf(token.at(-1) ?? '');
  for (let bits = 1; bits < 4; bits += 1) {
    const same = token.slice(0, -1) + letters.charAt((last & ~3) | bits);
    assert.deepEqual(
      Buffer.from(same.split('.')[2] ?? '', 'base64url'),
      Buffer.from(token.split('.')[2] ?? '', 'base64url'),
    );
    refusedWith('invalid_credentials', () => identify(bearer(same)));
  }
  refusedWith('invalid_credentials', () => identify(bearer(`${token}=`)));
  for (const other of [token.replaceAll('-', '+').replaceAll('_', '/'), token.replace('.', '.\n'), `${token}.`]) {
    if (other !== token) refusedWith('invalid_credentials', () => identify(bearer(other)));
  }
});

test('a token of 8 KiB is read and a longer one is refused, although its signature holds', () => {
  const identify = identifier();
  const withFilling = (length: number) => hmacToken(goodClaims({ filling: 'x'.repeat(length) }));
  const longest = 8 * 1024;
  let filling = 5800;
  while (withFilling(filling + 1).length <= longest) filling += 1;
  assert.ok(withFilling(filling).length > longest - 4);
  assert.equal(identify(bearer(withFilling(filling))).id, 'alice');
  const { message } = refusedWith('invalid_credentials', () => identify(bearer(withFilling(filling + 1))));
  assert.match(message, /longer than 8192/);
});

test('what looks like a token and is none is refused', () => {
  const identify = identifier();
  const nothing = () => Buffer.from('x');
  for (const header of [null, [], 'alg', 7, true, {}]) {
    refusedWith('invalid_credentials', () => identify(bearer(seal(header, goodClaims(), nothing))));
  }
  for (const token of ['a.b.c', '..', '.', 'abc', `${encode('{"alg":"HS256"')}.e30.AA`, 'sk-1234567890']) {
    refusedWith('invalid_credentials', () => identify(bearer(token)));
  }
});
