/** Keys, tokens and configurations of the identity tests. Tokens are put together by hand, so that they can be wrong. */
import { createHmac, createSecretKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Config } from '../../src/configured/config.ts';
import type { JwtConfig } from '../../src/configured/identity.ts';
import type { Certified } from '../../src/identity/client-certificate.ts';
import { type Call, createIdentify } from '../../src/identity/identify.ts';

export const issuer = 'https://id.test';
export const audience = 'opallama';
export const secret = 'a secret of the tests, 32 bytes or more, for HS512 more: 64 bytes in all';

type Claims = Readonly<Record<string, unknown>>;

/** Private and public halves, made anew for each run. */
export const keys = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  otherRsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
};

export function hmacKey(text = secret): KeyObject {
  return createSecretKey(Buffer.from(text));
}

export function jwtKey(over: Partial<JwtConfig> = {}): JwtConfig {
  return {
    algorithm: 'HS256',
    key: hmacKey(),
    kid: undefined,
    issuer,
    audience,
    claims: {},
    clockToleranceS: 0,
    ...over,
  };
}

/** Who calls, of a call that bearer tokens don't ask about. */
export function identifier(over: Partial<Config['identity']> = {}) {
  const identify = createIdentify({
    jwt: [jwtKey()],
    issuers: [],
    removedKeyGrace: 0,
    ollamaKeys: [],
    clientCertificates: [],
    anonymous: undefined,
    acceptUnknownCredentials: false,
    rolePrecedence: [],
    ...over,
  });
  return (
    rawHeaders: readonly string[],
    call: Call = { method: 'POST', path: '/api/chat', query: '' },
    certified?: Certified,
  ) => {
    const principal = identify(rawHeaders, call, certified);
    if (principal instanceof Promise) throw new Error('keys were asked for');
    return principal;
  };
}

/** Seconds since 1970, `offset` from now. */
export function inSeconds(offset: number): number {
  return Math.floor(Date.now() / 1000) + offset;
}

export function goodClaims(over: Claims = {}): Claims {
  return { sub: 'alice', iss: issuer, aud: audience, exp: inSeconds(600), ...over };
}

/** Members of `claims` that are undefined are left out of the token. */
export function hmacToken(claims: Claims = goodClaims(), header: Claims = { alg: 'HS256', typ: 'JWT' }, by = secret) {
  const hash = String(header['alg']).replace('HS', 'sha');
  return seal(header, claims, (text) => createHmac(hash, by).update(text).digest());
}

export function signedToken(algorithm: string, key: KeyObject, claims: Claims = goodClaims(), header: Claims = {}) {
  return seal({ alg: algorithm, typ: 'JWT', ...header }, claims, (text) =>
    sign(`sha${algorithm.slice(2)}`, Buffer.from(text), {
      key,
      dsaEncoding: 'ieee-p1363',
      ...(algorithm.startsWith('PS') && { padding: 6, saltLength: Number(algorithm.slice(2)) / 8 }),
    }),
  );
}

export function seal(header: unknown, claims: unknown, signature: (text: string) => Buffer): string {
  const text = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
  return `${text}.${signature(text).toString('base64url')}`;
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}

export function bearer(token: string): string[] {
  return ['Host', 'x', 'Authorization', `Bearer ${token}`];
}
