/** Who calls, with everything that changes while the sidecar runs: the keys that issuers publish. */
import type { Config, IssuerConfig } from '../types.ts';
import { readPrincipal } from './claims.ts';
import { createIdentify, type Identify } from './identify.ts';
import { createIssuerKeys, type IssuerState, type Refresh } from './issuer-keys.ts';
import type { KeyRing, Verifier } from './verifier.ts';

export interface LiveIdentityOptions {
  /** Told of every question to an issuer. */
  readonly onRefresh: (refresh: Refresh) => void;
}

export interface LiveIdentity {
  readonly identify: Identify;
  /** Why nobody can enter yet, in words; empty where somebody can. */
  notReady(): readonly string[];
  issuers(): readonly IssuerState[];
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

/** Asks each issuer once before anybody calls; one that does not answer is asked again, and its callers get 503 until then. */
export async function startLiveIdentity(
  config: Config['identity'],
  { onRefresh }: LiveIdentityOptions,
): Promise<LiveIdentity> {
  const rings = config.issuers.map((issuer) =>
    createIssuerKeys(issuer, { graceMs: config.removedKeyGrace, onRefresh }),
  );
  const look = async (): Promise<void> => {
    await Promise.all(rings.map((ring) => ring.refresh()));
  };
  await look();
  const hasOthers =
    config.jwt.length + config.ollamaKeys.length + config.clientCertificates.length > 0 ||
    config.anonymous !== undefined ||
    config.tokenEndpoint !== undefined;

  return {
    identify: createIdentify(
      config,
      config.issuers.flatMap((issuer, index) => {
        const ring = rings[index];
        return ring === undefined ? [] : [createIssuerVerifier(issuer, ring)];
      }),
    ),
    notReady() {
      const states = rings.map((ring) => ring.state());
      if (hasOthers || states.some(({ refreshedMs }) => refreshedMs !== undefined)) return [];
      return states.map(({ issuer }) => `no keys of the issuer ${issuer} yet`);
    },
    issuers: () => rings.map((ring) => ring.state()),
    look,
    close() {
      for (const ring of rings) ring.close();
    },
  };
}

export function createIssuerVerifier(config: IssuerConfig, keys: KeyRing): Verifier {
  const { issuer, audience, clockToleranceS, claims } = config;
  return { issuer, audience, clockToleranceS, keys, readPrincipal: (verified) => readPrincipal(verified, claims) };
}
