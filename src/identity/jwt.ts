/**
 * Bearer tokens, verified by jsonwebtoken with the algorithm pinned for each key (RFC 8725 section 3.1). What jsonwebtoken
 * leaves open is closed here: `exp` and `sub` are required, header members that name a key are refused (RFC 8725 section
 * 3.10), so are `crit` extensions (RFC 7515 section 4.1.11) and base64url that is not canonical, which would give one token
 * several spellings.
 */
import jsonwebtoken from 'jsonwebtoken';

import { mayLoseDigits, parseExactJson } from '../exact-json.ts';
import type { JwtConfig, Principal } from '../types.ts';
import { readPrincipal } from './claims.ts';
import type { Credential } from './credentials.ts';
import type { Authentication } from './identify.ts';

/** Longest token in bytes; headers are limited to 16 KiB altogether. */
const longestToken = 8 * 1024;
/** Verified tokens that are remembered, some 100 bytes each beside the token. */
const rememberedTokens = 1000;

const keyNamingHeaders = ['jku', 'x5u', 'jwk', 'x5c', 'crit'] as const;

interface Verified {
  readonly principal: Principal;
  readonly notBefore: number;
  readonly expires: number;
}

/**
 * @param keys at least one; tried in order where a token's `kid` doesn't name one
 * @param now the clock, ms
 */
export function createJwtAuthenticator(
  keys: readonly JwtConfig[],
  now: () => number = Date.now,
): (credential: Credential) => Authentication {
  // Only tokens that were verified are remembered, so nobody without a key can fill it. The oldest entry leaves first.
  const remembered = new Map<string, Verified>();

  return function authenticate(credential: Credential): Authentication {
    // A token without the scheme's name is no bearer token (RFC 6750 section 2.1), however good it is.
    if (credential.scheme === 'other') return 'not mine';
    const token = credential.value;
    const known = remembered.get(token);
    const seconds = now() / 1000;
    if (known !== undefined) {
      if (seconds < known.expires && seconds >= known.notBefore) return { principal: known.principal };
      remembered.delete(token);
    }
    const header = readHeader(token);
    if (typeof header === 'string') return { rejected: header };
    if (header === undefined) return 'not mine';

    const candidates = keys.filter(
      (key) => key.algorithm === header.alg && (key.kid === undefined || key.kid === header.kid),
    );
    let rejected = 'no key fits the algorithm and the key id of this token';
    for (const key of candidates) {
      const verified = verify(token, key, seconds);
      if (typeof verified !== 'string') {
        if (remembered.size >= rememberedTokens) forgetOldest(remembered);
        remembered.set(token, verified);
        return { principal: verified.principal };
      }
      rejected = verified;
    }
    return { rejected };
  };
}

/** @returns the header, a text that says why it is refused, or undefined for something that is no JWT at all */
function readHeader(token: string): { alg: string; kid: string | undefined } | string | undefined {
  const segments = token.split('.');
  if (segments.length !== 3) return undefined;
  if (token.length > longestToken) return `the token is longer than ${longestToken} bytes`;
  if (!segments.every(isCanonicalBase64Url)) return 'the token is not canonical base64url';
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(segments[0] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof header !== 'object' || header === null) return undefined;
  const refused = keyNamingHeaders.find((name) => Object.hasOwn(header, name));
  if (refused !== undefined) return `the token header "${refused}" is not supported`;
  if (!('alg' in header) || typeof header.alg !== 'string') return 'the token names no algorithm';
  const kid = 'kid' in header ? header.kid : undefined;
  if (kid !== undefined && typeof kid !== 'string') return 'the key id of the token is not a string';
  return { alg: header.alg, kid };
}

function isCanonicalBase64Url(segment: string): boolean {
  return Buffer.from(segment, 'base64url').toString('base64url') === segment;
}

/** @returns the principal and how long the token holds, or a text that says why not */
function verify(token: string, key: JwtConfig, seconds: number): Verified | string {
  let payload: unknown;
  try {
    payload = jsonwebtoken.verify(token, key.key, {
      algorithms: [key.algorithm],
      issuer: key.issuer,
      audience: key.audience,
      clockTolerance: key.clockToleranceS,
      clockTimestamp: Math.floor(seconds),
    });
  } catch (error) {
    return describe(error);
  }
  if (typeof payload !== 'object' || payload === null) return 'the token carries no claims';
  const claims = readExactClaims(token, payload);
  if (typeof claims === 'string') return claims;
  const { exp, nbf } = claims;
  // JSON.parse reads 1e999 as Infinity, which no clock reaches.
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'the token has no "exp" claim';
  const principal = readPrincipal(claims, key.claims);
  if (typeof principal === 'string') return principal;
  return {
    principal,
    expires: exp + key.clockToleranceS,
    notBefore: (typeof nbf === 'number' ? nbf : Number.NEGATIVE_INFINITY) - key.clockToleranceS,
  };
}

/** jsonwebtoken parses as JavaScript does, where two ids beyond 2^53 can become one. @returns a text where it can't be read */
function readExactClaims(token: string, payload: object): Readonly<Record<string, unknown>> | string {
  const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
  if (!mayLoseDigits(text)) return { ...payload };
  try {
    const exact = parseExactJson(text);
    return typeof exact === 'object' && exact !== null ? { ...exact } : { ...payload };
  } catch {
    return 'a claim of the token is a number out of range';
  }
}

/** Texts of jsonwebtoken's own, which hold nothing of the token but claims that the caller wrote. */
function describe(error: unknown): string {
  if (error instanceof jsonwebtoken.TokenExpiredError) return 'the token expired';
  if (error instanceof jsonwebtoken.NotBeforeError) return 'the token is not valid yet';
  const message = error instanceof Error ? error.message : '';
  if (message.startsWith('jwt audience invalid')) return 'the token is for another audience';
  if (message.startsWith('jwt issuer invalid')) return 'the token is from another issuer';
  return message === 'invalid signature' ? 'the signature of the token is not valid' : 'the token is not valid';
}

function forgetOldest(remembered: Map<string, Verified>): void {
  const oldest = remembered.keys().next();
  if (oldest.done !== true) remembered.delete(oldest.value);
}
