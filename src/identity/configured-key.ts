/** A key of the configuration as the only one of its ring: nothing is looked for elsewhere. */
import type { JwtConfig } from '../types.ts';
import { readPrincipal } from './claims.ts';
import type { TrustedKey, Verifier } from './verifier.ts';

export function createConfiguredVerifier(config: JwtConfig): Verifier {
  const { key, kid, algorithm, issuer, audience, clockToleranceS, claims } = config;
  const ring: readonly TrustedKey[] = [{ key, kid, algorithms: [algorithm], usableUntilMs: Number.POSITIVE_INFINITY }];
  return {
    issuer,
    audience,
    clockToleranceS,
    keys: {
      find: (wanted, named) => (wanted === algorithm && (kid === undefined || kid === named) ? ring : []),
      look: () => undefined,
    },
    readPrincipal: (verified) => readPrincipal(verified, claims),
  };
}
