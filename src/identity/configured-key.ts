/** A key of the configuration as a ring of its own; one that was read from a file may be replaced while the sidecar runs. */
import type { KeyObject } from 'node:crypto';

import type { Config } from '../configured/config.ts';
import type { JwtConfig } from '../configured/identity.ts';
import { readPrincipal } from './claims.ts';
import type { TrustedKey, Verifier } from './verifier.ts';

export interface ConfiguredVerifier extends Verifier {
  /** From now on this key counts; the former one for its grace. */
  replace(key: KeyObject): void;
}

export function createConfiguredVerifier(
  config: JwtConfig,
  graceMs = 0,
  now: () => number = Date.now,
): ConfiguredVerifier {
  const { kid, algorithm, issuer, audience, clockToleranceS, claims } = config;
  let ring: readonly TrustedKey[] = [trust(config.key)];

  return {
    issuer,
    audience,
    clockToleranceS,
    keys: {
      find(wanted, named) {
        if (wanted !== algorithm || (kid !== undefined && kid !== named)) return [];
        const time = now();
        return ring.length === 1 ? ring : ring.filter(({ usableUntilMs }) => time < usableUntilMs);
      },
      look: () => undefined,
    },
    readPrincipal: (verified) => readPrincipal(verified, claims),
    replace(key) {
      const time = now();
      for (const former of ring) former.usableUntilMs = Math.min(former.usableUntilMs, time + graceMs);
      ring = [trust(key), ...ring.filter(({ usableUntilMs }) => time < usableUntilMs)];
    },
  };

  function trust(key: KeyObject): TrustedKey {
    return { key, kid, algorithms: [algorithm], usableUntilMs: Number.POSITIVE_INFINITY };
  }
}

/** The keys of the configuration. Tokens of the token endpoint are tokens like any other. */
export function listKeys({ jwt, tokenEndpoint }: Config['identity']): readonly JwtConfig[] {
  return tokenEndpoint === undefined ? jwt : [...jwt, ownTokens(tokenEndpoint)];
}

export function ownTokens({
  algorithm,
  verifyingKey: key,
  kid,
  issuer,
  audience,
}: NonNullable<Config['identity']['tokenEndpoint']>): JwtConfig {
  return { algorithm, key, kid, issuer, audience, claims: {}, clockToleranceS: 0 };
}
