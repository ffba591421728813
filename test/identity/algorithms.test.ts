/** Each algorithm is verified with its own key and with nothing else. */
import assert from 'node:assert/strict';
import { createHmac, createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import type { JwtConfig } from '../../src/configured/identity.ts';
import { refusedWith } from './refusals.ts';
import { bearer, goodClaims, hmacKey, hmacToken, identifier, jwtKey, keys, seal, signedToken } from './tokens.ts';

const rsaKey = (algorithm: JwtConfig['algorithm']) => ({ algorithm, pair: keys.rsa });
const asymmetric = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const).map(rsaKey),
  { algorithm: 'ES256', pair: keys.p256 },
  { algorithm: 'ES384', pair: keys.p384 },
  { algorithm: 'ES512', pair: keys.p521 },
] as const;

for (const algorithm of ['HS256', 'HS384', 'HS512'] as const) {
  test(`a token signed by ${algorithm} names its subject`, () => {
    const identify = identifier({ jwt: [jwtKey({ algorithm })] });
    const principal = identify(bearer(hmacToken(goodClaims({ roles: ['dev'] }), { alg: algorithm })));
    assert.deepEqual(
      { id: principal.id, kind: principal.kind, roles: principal.roles },
      { id: 'alice', kind: 'jwt', roles: ['dev'] },
    );
  });
}

for (const { algorithm, pair } of asymmetric) {
  const identify = identifier({ jwt: [jwtKey({ algorithm, key: pair.publicKey })] });

  test(`a token signed by ${algorithm} names its subject`, () => {
    assert.equal(identify(bearer(signedToken(algorithm, pair.privateKey))).id, 'alice');
  });

  test(`a token of ${algorithm} whose claims were changed is refused`, () => {
    const [header, , signature] = signedToken(algorithm, pair.privateKey).split('.');
    const [, claims] = signedToken(algorithm, pair.privateKey, goodClaims({ sub: 'mallory' })).split('.');
    refusedWith('invalid_credentials', () => identify(bearer(`${header}.${claims}.${signature}`)));
  });

  test(`the public key of ${algorithm} is no secret that could sign`, () => {
    for (const format of ['pem', 'der'] as const) {
      const exported = pair.publicKey.export({ type: 'spki', format });
      const bytes = typeof exported === 'string' ? Buffer.from(exported) : exported;
      const forged = seal({ alg: 'HS256', typ: 'JWT' }, goodClaims(), (text) =>
        createHmac('sha256', bytes).update(text).digest(),
      );
      refusedWith('invalid_credentials', () => identify(bearer(forged)));
    }
  });
}

test('an HS key that is the public key of another is still only an HS key', () => {
  const pem = keys.rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const identify = identifier({
    jwt: [
      jwtKey({ algorithm: 'RS256', key: keys.rsa.publicKey }),
      jwtKey({ algorithm: 'HS256', key: hmacKey(), issuer: 'https://other.test' }),
    ],
  });
  const forged = seal({ alg: 'HS256' }, goodClaims(), (text) =>
    createHmac('sha256', createSecretKey(Buffer.from(pem)))
      .update(text)
      .digest(),
  );
  refusedWith('invalid_credentials', () => identify(bearer(forged)));
});

test('the algorithm is the configured one, not the one that the token picks', () => {
  const identify = identifier({ jwt: [jwtKey({ algorithm: 'RS256', key: keys.rsa.publicKey })] });
  refusedWith('invalid_credentials', () => identify(bearer(signedToken('RS512', keys.rsa.privateKey))));
  refusedWith('invalid_credentials', () => identify(bearer(signedToken('PS256', keys.rsa.privateKey))));
  const longer = identifier({ jwt: [jwtKey({ algorithm: 'HS512' })] });
  refusedWith('invalid_credentials', () => longer(bearer(hmacToken())));
});

test('a token without a signature is refused however its algorithm is written', () => {
  const identify = identifier();
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'HS256 ', 'hs256', null, 0, ['HS256'], undefined]) {
    for (const signature of ['', 'AAAA']) {
      const forged = seal({ alg, typ: 'JWT' }, goodClaims(), () => Buffer.from(signature, 'base64url'));
      refusedWith('invalid_credentials', () => identify(bearer(forged)));
    }
  }
});

test('a signature that was taken away is refused', () => {
  const [header, claims] = hmacToken().split('.');
  refusedWith('invalid_credentials', () => identifier()(bearer(`${header}.${claims}.`)));
  refusedWith('invalid_credentials', () => identifier()(bearer(`${header}.${claims}`)));
});

test('a key of the same kind that is not the configured one signs nothing', () => {
  const identify = identifier({ jwt: [jwtKey({ algorithm: 'RS256', key: keys.rsa.publicKey })] });
  refusedWith('invalid_credentials', () => identify(bearer(signedToken('RS256', keys.otherRsa.privateKey))));
  refusedWith('invalid_credentials', () => identifier()(bearer(hmacToken(goodClaims(), { alg: 'HS256' }, 'other'))));
});
