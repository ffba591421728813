/**
 * Bearer tokens, verified by jsonwebtoken with the algorithm pinned for each key (RFC 8725 section 3.1). What jsonwebtoken
 * leaves open is closed here: `exp` and `sub` are required, header members that name a key are refused (RFC 8725 section
 * 3.10), so are `crit` extensions (RFC 7515 section 4.1.11) and base64url that is not canonical, which would give one token
 * several spellings. The token's `iss` chooses among the configured issuers, and nothing else that it says chooses anything.
 */
import type { Principal } from '../types.ts';
import type { Credential } from './credentials.ts';
import type { Authentication } from './identify.ts';
import { createRevocations, type Revocations } from './revocations.ts';
import { readClaimedIssuer, readTokenHeader, type TokenHeader } from './token-header.ts';
import type { Verifier } from './verifier.ts';
import { notSigned, type Verified, verifyToken } from './verify-token.ts';

/** Verified tokens that are remembered, some 100 bytes each beside the token. */
const rememberedTokens = 1000;
/** Looks for keys for one token: one that was under way already may be too old to know the key. */
const mostLooks = 2;

/**
 * @param verifiers at least one; those of one issuer are tried in order
 * @param revocations asked about each token when it comes first and whenever the list has changed since
 * @param now the clock, ms
 */
export function createJwtAuthenticator(
  verifiers: readonly Verifier[],
  revocations: Revocations = createRevocations(),
  now: () => number = Date.now,
): (credential: Credential) => Authentication | Promise<Authentication> {
  const byIssuer = Map.groupBy(verifiers, ({ issuer }) => issuer);
  // Only tokens that were verified are remembered, so nobody without a key can fill it. The oldest entry leaves first.
  const remembered = new Map<string, Remembered>();

  return function authenticate(credential: Credential): Authentication | Promise<Authentication> {
    // A token without the scheme's name is no bearer token (RFC 6750 section 2.1), however good it is.
    if (credential.scheme === 'other') return 'not mine';
    const token = credential.value;
    const known = remembered.get(token);
    if (known !== undefined) {
      const time = now();
      const seconds = time / 1000;
      if (seconds < known.expires && seconds >= known.notBefore && time < known.key.usableUntilMs) {
        if (known.generation === revocations.generation) return known.answer;
        if (!revocations.ofToken(known.claims, time)) {
          known.generation = revocations.generation;
          return known.answer;
        }
      }
      remembered.delete(token);
    }
    const header = readTokenHeader(token);
    if (typeof header === 'string') return { rejected: header };
    if (header === undefined) return 'not mine';
    const issuer = readClaimedIssuer(token);
    const fitting = typeof issuer === 'string' ? byIssuer.get(issuer) : undefined;
    if (fitting === undefined) return { rejected: 'the token is from another issuer' };
    const answer = tryKeys(token, header, fitting);
    return 'principal' in answer ? answer : lookFurther(token, header, fitting, answer, 1);
  };

  function tryKeys(token: string, header: TokenHeader, fitting: readonly Verifier[]): Tried {
    const time = now();
    let answer: Tried = { rejected: noKey };
    for (const verifier of fitting) {
      for (const key of verifier.keys.find(header.alg, header.kid)) {
        // One of the configuration's, spelled as there.
        const algorithm = key.algorithms.find((name) => name === header.alg);
        if (algorithm === undefined) continue;
        const verified = verifyToken(token, key, algorithm, verifier, time / 1000);
        if (typeof verified !== 'string') {
          const { generation } = revocations;
          if (revocations.ofToken(verified.claims, time)) return { rejected: 'the token was revoked' };
          if (remembered.size >= rememberedTokens) forgetOldest(remembered);
          const good = { principal: verified.principal };
          remembered.set(token, { ...verified, answer: good, generation });
          return good;
        }
        answer = { rejected: verified };
      }
    }
    return answer;
  }

  /** For a token that no known key verifies, and that could be of a key that is not known yet. */
  function lookFurther(
    token: string,
    header: TokenHeader,
    fitting: readonly Verifier[],
    answer: Tried,
    looks: number,
  ): Authentication | Promise<Authentication> {
    if ('principal' in answer || (answer.rejected !== noKey && answer.rejected !== notSigned)) return answer;
    if (looks > mostLooks) return answer;
    const found = fitting.map(({ keys }) => keys.look(header.alg, header.kid)).filter((look) => look !== undefined);
    const underWay = found.filter((look) => look instanceof Promise);
    if (underWay.length > 0) {
      return Promise.all(underWay).then(() =>
        lookFurther(token, header, fitting, tryKeys(token, header, fitting), looks + 1),
      );
    }
    return found.find((look) => 'unavailable' in look) ?? answer;
  }
}

interface Remembered extends Verified {
  readonly answer: { readonly principal: Principal };
  /** Of the list of revocations that it was checked with last. */
  generation: number;
}

type Tried = Exclude<Authentication, 'not mine' | { readonly unavailable: string }>;

const noKey = 'no key fits the algorithm and the key id of this token';

function forgetOldest(remembered: Map<string, unknown>): void {
  const oldest = remembered.keys().next();
  if (oldest.done !== true) remembered.delete(oldest.value);
}
