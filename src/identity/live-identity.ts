/** Who calls, with everything that changes while the sidecar runs: keys of issuers, of files, and what was revoked. */
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Config } from '../configured/config.ts';
import type { IssuerConfig, JwtConfig } from '../configured/identity.ts';
import { createApiKeyAuthenticator } from './api-key-authenticator.ts';
import { parseApiKeyFile } from './api-key-file.ts';
import { readPrincipal } from './claims.ts';
import { createConfiguredVerifier } from './configured-key.ts';
import { describeIdentity, type IdentityDescription } from './describe-identity.ts';
import type { TokenGrant } from './grant-token.ts';
import { createIdentify, type Identify } from './identify.ts';
import { createIssuerKeys, type Refresh } from './issuer-keys.ts';
import { createKubernetesVerifier } from './kubernetes.ts';
import { createKubernetesKeys } from './kubernetes-keys.ts';
import { startTokenEndpoint, type TokenEndpointOptions } from './live-token-endpoint.ts';
import { createRevocations, parseRevocations, type Revocations } from './revocations.ts';
import type { KeyRing, Verifier } from './verifier.ts';
import { type FileReload, type FileState, type WatchedFile, watchFile } from './watched-file.ts';

export interface LiveIdentityOptions
  extends Pick<TokenEndpointOptions, 'readSigningKey' | 'readClients' | 'onWrongSecret'> {
  /** Reads the key of an entry of `identity.jwt` anew; a text where it can't be used. */
  readonly readKey: (entry: JwtConfig, bytes: Buffer) => KeyObject | string;
  /** Told of every question to an issuer. */
  readonly onRefresh: (refresh: Refresh) => void;
  /** Told of every change of a file. */
  readonly onReload: (reload: FileReload) => void;
  /** ms between two looks at a file; 1 s by default. */
  readonly everyMs?: number;
  /** Asks issuers for nothing until one of their tokens comes. */
  readonly isLazy?: boolean;
}

export interface LiveIdentity {
  readonly identify: Identify;
  /** Where there is a token endpoint. */
  readonly tokens: TokenGrant | undefined;
  readonly revocations: Revocations;
  /** Why nobody can enter yet, in words; empty where somebody can. */
  notReady(): readonly string[];
  files(): readonly FileState[];
  /** For operators, as the admin API has it; no key is in it. */
  describe(): IdentityDescription;
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

/** How long a start waits for issuers, ms. */
const longestStartMs = 1000;

/**
 * Asks each issuer once before anybody calls; one that does not answer is asked again, and its callers get 503 until then.
 *
 * @throws ConfigError for a file that can't be used
 */
export async function startLiveIdentity(
  config: Config['identity'],
  {
    readKey,
    readSigningKey,
    readClients,
    onWrongSecret,
    onRefresh,
    onReload,
    everyMs,
    isLazy = false,
  }: LiveIdentityOptions,
): Promise<LiveIdentity> {
  const files: WatchedFile<unknown>[] = [];
  const watching = { onReload, everyMs };

  const watched = <T>(file: WatchedFile<T>): WatchedFile<T> => {
    files.push(file);
    return file;
  };

  const revocations = createRevocations();
  if (config.revocationsFile !== undefined) {
    const what = { source: 'revocations' as const, path: config.revocationsFile, parse: parseRevocations };
    revocations.replace(watched(watchFile({ ...watching, ...what, apply: revocations.replace })).value);
  }

  const apiKeys = config.apiKeysFile === undefined ? undefined : createApiKeyAuthenticator(revocations);
  if (config.apiKeysFile !== undefined && apiKeys !== undefined) {
    const what = { source: 'api_keys' as const, path: config.apiKeysFile, parse: parseApiKeyFile };
    apiKeys.replace(watched(watchFile({ ...watching, ...what, apply: apiKeys.replace })).value);
  }

  const configured = config.jwt.map((entry) => {
    const verifier = createConfiguredVerifier(entry, config.removedKeyGrace);
    const { member, value: path } = entry.source ?? {};
    if (path !== undefined && (member === 'secret_file' || member === 'public_key_file')) {
      const parse = (bytes: Buffer) => {
        const key = readKey(entry, bytes);
        return typeof key === 'string' ? key : { value: key };
      };
      const { value } = watched(watchFile({ ...watching, source: 'jwt_keys', path, parse, apply: verifier.replace }));
      // The file may have changed since the configuration was read.
      if (!value.equals(entry.key)) verifier.replace(value);
    }
    return verifier;
  });

  const endpoint =
    config.tokenEndpoint &&
    startTokenEndpoint(config.tokenEndpoint, config.removedKeyGrace, {
      ...watching,
      readSigningKey,
      readClients,
      onWrongSecret,
    });
  if (endpoint !== undefined) {
    configured.push(endpoint.verifier);
    files.push(...endpoint.files);
  }

  const issuers = config.issuers.map((issuer) => {
    const keys = createIssuerKeys(issuer, { graceMs: config.removedKeyGrace, onRefresh });
    return { keys, verifier: createIssuerVerifier(issuer, keys) };
  });
  if (config.kubernetes !== undefined) {
    const keys = createKubernetesKeys(config.kubernetes, { graceMs: config.removedKeyGrace, onRefresh, watching });
    issuers.push({ keys, verifier: createKubernetesVerifier(config.kubernetes, keys) });
  }
  const refresh = (): Promise<unknown> => Promise.all(issuers.map(({ keys }) => keys.refresh()));
  // One that is slow need not hold up everybody else: whoever comes with a token of it waits for the same answer.
  if (!isLazy) await Promise.race([refresh(), sleep(longestStartMs, undefined, { ref: false })]);
  const hasOthers =
    config.jwt.length + config.ollamaKeys.length + config.clientCertificates.length > 0 ||
    config.apiKeysFile !== undefined ||
    config.anonymous !== undefined ||
    config.tokenEndpoint !== undefined;

  return {
    identify: createIdentify(config, {
      verifiers: [...configured, ...issuers.map(({ verifier }) => verifier)],
      apiKeys: apiKeys?.authenticate,
      revocations,
    }),
    revocations,
    tokens: endpoint?.tokens,
    notReady() {
      const states = issuers.map(({ keys }) => keys.state());
      if (hasOthers || states.some(({ refreshedMs }) => refreshedMs !== undefined)) return [];
      return states.map(({ issuer }) => `no keys of the issuer ${issuer} yet`);
    },
    files: () => files.map((file) => file.state()),
    describe: () =>
      describeIdentity(
        issuers.map(({ keys }) => keys.state()),
        files.map((file) => file.state()),
      ),
    async look() {
      await Promise.all([refresh(), ...files.map((file) => file.look())]);
    },
    close() {
      for (const { keys } of issuers) keys.close();
      for (const file of files) file.close();
    },
  };
}

export function createIssuerVerifier(config: IssuerConfig, keys: KeyRing): Verifier {
  const { issuer, audience, clockToleranceS, claims } = config;
  return { issuer, audience, clockToleranceS, keys, readPrincipal: (verified) => readPrincipal(verified, claims) };
}
