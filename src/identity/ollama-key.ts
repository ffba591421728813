/**
 * Signatures of Ollama's own command line (`OLLAMA_AUTH=1`; api/client.go and auth/auth.go of Ollama 0.17.4):
 *
 *     Authorization: <public key>:<signature>          no scheme; OpenSSH's base64, and base64 of 64 bytes
 *
 * Ed25519 over `METHOD,/path?ts=SECONDS`, the path without the prefix that `OLLAMA_HOST` may have, and `ts` the whole
 * query. Neither the body nor the host is signed, so whoever sees a signature can send another body with it until it is
 * too old. Two things narrow that: `ts` must be near this clock, and a signature that comes again is taken only for a
 * short while after it came first. It is taken again at all because Ed25519 draws nothing at random: two calls of one path
 * within one second, as `ollama run` makes them, carry the same signature.
 */
import { verify } from 'node:crypto';

import type { OllamaKeyConfig } from '../configured/identity.ts';
import type { Principal } from '../types.ts';
import type { Credential } from './credentials.ts';
import type { Authentication, Call } from './identify.ts';

/** How long after it came first a signature may come again: the second that it names, and time on the way. */
const repeatMs = 10_000;
/** Signatures that are remembered for each key, some 150 bytes each. */
const rememberedSignatures = 4096;

/** The whole query: any other parameter would be one that nobody signed. */
const signedQuery = /^\?ts=([1-9]\d{0,11})$/;

/** Every key in OpenSSH's form begins so: the length of the algorithm's name, a number below 256. */
const sshKeyStart = 'AAAA';

/**
 * @param keys at least one, no key twice
 * @param now the clock, ms
 */
export function createOllamaKeyAuthenticator(
  keys: readonly OllamaKeyConfig[],
  now: () => number = Date.now,
): (credential: Credential, call: Call) => Authentication {
  const known = new Map(keys.map((key) => [key.publicKey, createVerifier(key)]));

  return function authenticate(credential: Credential, call: Call): Authentication {
    const { scheme, value } = credential;
    const colon = value.indexOf(':');
    if (scheme !== 'other' || colon === -1 || !value.startsWith(sshKeyStart)) return 'not mine';
    const check = known.get(value.slice(0, colon));
    if (check === undefined) return { rejected: 'this public key is not among identity.ollama_keys' };
    return check(value.slice(colon + 1), call, now());
  };
}

function createVerifier(config: OllamaKeyConfig) {
  const { key, clockToleranceMs } = config;
  const principal: Principal = {
    id: config.id,
    kind: 'ollama_key',
    roles: config.roles,
    agentRole: config.agentRole,
    permissions: config.permissions,
    tenant: config.tenant,
    claims: {},
  };
  // Only what was verified is remembered, each key apart, so nobody can drive out what another one has signed.
  const remembered = new Map<string, { readonly signedAt: number; readonly firstSeen: number }>();
  /** Signatures of this time and before, ms, may have been forgotten, so they count as seen. */
  let forgottenUntil = 0;

  return function check(signature: string, { method, path, query }: Call, time: number): Authentication {
    const ts = signedQuery.exec(query)?.[1];
    if (ts === undefined) return { rejected: 'with a signature the query must be ts and nothing else' };
    const signedAt = Number(ts) * 1000;
    if (Math.abs(time - signedAt) > clockToleranceMs)
      return { rejected: `the signature was made more than ${clockToleranceMs / 1000} s before or after this moment` };

    const bytes = Buffer.from(signature, 'base64');
    if (bytes.length !== 64 || bytes.toString('base64') !== signature)
      return { rejected: 'the signature is not 64 bytes in canonical base64' };
    if (!verify(null, Buffer.from(`${method},${path}${query}`), key, bytes))
      return { rejected: 'the signature is not one of this key over this method, path and time' };

    const seen = remembered.get(signature);
    if (seen === undefined && signedAt > forgottenUntil) {
      remember(signature, signedAt, time);
      return { principal };
    }
    if (seen === undefined || time - seen.firstSeen > repeatMs)
      return { rejected: 'this signature was used before; sign again' };
    return { principal };
  };

  function remember(signature: string, signedAt: number, time: number): void {
    for (const [oldest, entry] of remembered) {
      const expired = entry.signedAt + clockToleranceMs < time;
      if (!expired && remembered.size < rememberedSignatures) break;
      if (!expired) forgottenUntil = Math.max(forgottenUntil, entry.signedAt);
      remembered.delete(oldest);
    }
    remembered.set(signature, { signedAt, firstSeen: time });
  }
}
