/** One token against one key, by jsonwebtoken with the algorithm pinned (RFC 8725 section 3.1); `exp` is required. */
import jsonwebtoken from 'jsonwebtoken';
import type { JwtConfig } from '../configured/identity.ts';
import { mayLoseDigits, parseExactJson } from '../exact-json.ts';
import type { Principal } from '../types.ts';
import type { TrustedKey, Verifier } from './verifier.ts';

export interface Verified {
  readonly principal: Principal;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly key: TrustedKey;
  /** Seconds, the allowed difference of clocks reckoned in. */
  readonly notBefore: number;
  readonly expires: number;
}

/** Another key might verify it. */
export const notSigned = 'the signature of the token is not valid';

/**
 * @param algorithm one of the key's
 * @param seconds now
 * @returns the principal and how long the token holds, or a text that says why not
 */
export function verifyToken(
  token: string,
  key: TrustedKey,
  algorithm: JwtConfig['algorithm'],
  verifier: Omit<Verifier, 'keys'>,
  seconds: number,
): Verified | string {
  let payload: unknown;
  try {
    payload = jsonwebtoken.verify(token, key.key, {
      algorithms: [algorithm],
      issuer: verifier.issuer,
      audience: verifier.audience,
      clockTolerance: verifier.clockToleranceS,
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
  const principal = verifier.readPrincipal(claims);
  if (typeof principal === 'string') return principal;
  return {
    principal,
    claims,
    key,
    expires: exp + verifier.clockToleranceS,
    notBefore: (typeof nbf === 'number' ? nbf : Number.NEGATIVE_INFINITY) - verifier.clockToleranceS,
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
  return message === 'invalid signature' ? notSigned : 'the token is not valid';
}
