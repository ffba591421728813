/** What a token says of itself before anything of it is verified: only enough to choose among keys that are configured. */

/** Longest token in bytes; headers are limited to 16 KiB altogether. */
const longestToken = 8 * 1024;

/** RFC 8725 section 3.10 for those that bring or name a key; RFC 7515 section 4.1.11 for `crit`, RFC 7797 for `b64`. */
const refusedMembers = ['jku', 'x5u', 'jwk', 'x5c', 'crit', 'b64'] as const;

export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** @returns the header, a text that says why it is refused, or undefined for something that is no JWT at all */
export function readTokenHeader(token: string): TokenHeader | string | undefined {
  const segments = token.split('.');
  if (segments.length !== 3) return undefined;
  if (token.length > longestToken) return `the token is longer than ${longestToken} bytes`;
  if (!segments.every(isCanonicalBase64Url)) return 'the token is not canonical base64url';
  const header = parse(segments[0] ?? '');
  if (typeof header !== 'object' || header === null) return undefined;
  const refused = refusedMembers.find((name) => Object.hasOwn(header, name));
  if (refused !== undefined) return `the token header "${refused}" is not supported`;
  if (!('alg' in header) || typeof header.alg !== 'string') return 'the token names no algorithm';
  const kid = 'kid' in header ? header.kid : undefined;
  if (kid !== undefined && typeof kid !== 'string') return 'the key id of the token is not a string';
  return { alg: header.alg, kid };
}

/** The issuer that a token claims to be from, unverified: it is looked up among those that are configured, and nothing else. */
export function readClaimedIssuer(token: string): unknown {
  const claims = parse(token.split('.', 2)[1] ?? '');
  return typeof claims === 'object' && claims !== null && 'iss' in claims ? claims.iss : undefined;
}

function parse(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

function isCanonicalBase64Url(segment: string): boolean {
  return Buffer.from(segment, 'base64url').toString('base64url') === segment;
}
