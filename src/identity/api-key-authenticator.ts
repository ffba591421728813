/**
 * API keys as an identity, sent as a bearer token or in `x-api-key`. A key is looked up by its id, which is no secret, and
 * its hash is compared in constant time; of an id that is not known a hash is made and compared all the same.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';

import type { Principal } from '../types.ts';
import { type ApiKeyHash, apiKeyStart, hashApiKey, readApiKeyId } from './api-key.ts';
import type { ApiKeyEntry } from './api-key-file.ts';
import type { Credential } from './credentials.ts';
import type { Authentication } from './identify.ts';
import type { Revocations } from './revocations.ts';

interface Known {
  readonly hash: ApiKeyHash;
  readonly principal: Principal;
  readonly expiresMs: number;
  readonly revokedMs: number;
}

const nobody: ApiKeyHash = { salt: randomBytes(16), digest: randomBytes(32) };

export interface ApiKeyAuthenticator {
  authenticate(credential: Credential): Authentication;
  /** From now on these count and no others. */
  replace(entries: readonly ApiKeyEntry[]): void;
}

/** Knows nobody until `replace` is called. @param now the clock, ms */
export function createApiKeyAuthenticator(revocations: Revocations, now: () => number = Date.now): ApiKeyAuthenticator {
  let byId: ReadonlyMap<string, Known> = new Map();

  return {
    authenticate({ scheme, value }) {
      if (scheme === 'other' || !value.startsWith(apiKeyStart)) return 'not mine';
      const id = readApiKeyId(value);
      const known = id === undefined ? undefined : byId.get(id);
      const { salt, digest } = known?.hash ?? nobody;
      const isRight = timingSafeEqual(hashApiKey(value, salt), digest);
      if (known === undefined || id === undefined || !isRight) return { rejected: 'the API key is not known' };
      // Said only to those who have the key.
      const time = now();
      if (time >= known.revokedMs || revocations.ofApiKey(id, time)) return { rejected: 'the API key was revoked' };
      if (time >= known.expiresMs) return { rejected: 'the API key expired' };
      return { principal: known.principal };
    },
    replace(next) {
      byId = index(next);
    },
  };
}

function index(entries: readonly ApiKeyEntry[]): ReadonlyMap<string, Known> {
  return new Map(
    entries.map((entry) => [
      entry.id,
      {
        hash: entry.hash,
        principal: {
          id: entry.principal,
          kind: 'api_key' as const,
          roles: entry.roles,
          agentRole: entry.agent_role,
          permissions: entry.permissions,
          tenant: entry.tenant,
          claims: {},
        },
        expiresMs: entry.expires_at ?? Number.POSITIVE_INFINITY,
        revokedMs: entry.revoked_at ?? Number.POSITIVE_INFINITY,
      },
    ]),
  );
}
