/** The keys of a cluster's issuer: from its API server, as one of the pods that it knows, or from a file. */
import { readFile } from 'node:fs/promises';

import type { IssuerConfig, KubernetesConfig } from '../configured/identity.ts';
import { getDocument } from './get-document.ts';
import { createIssuerKeys, type IssuerKeys, type IssuerKeysOptions } from './issuer-keys.ts';
import { readKeySet } from './jwks.ts';
import { createFileKeys, type FileKeysOptions } from './key-file.ts';

/** As those of `identity.issuers` are by default. */
const times = {
  timeout: 5_000,
  refresh: 300_000,
  refreshMin: 30_000,
  refreshMax: 900_000,
  stale: 86_400_000,
};

export interface KubernetesKeysOptions extends IssuerKeysOptions {
  readonly watching: FileKeysOptions['watching'];
}

/** @throws ConfigError where there is a file that can't be read */
export function createKubernetesKeys(config: KubernetesConfig, options: KubernetesKeysOptions): IssuerKeys {
  const { issuer, audience, algorithms, clockToleranceS, jwksFile } = config;
  if (jwksFile !== undefined)
    return createFileKeys({
      issuer,
      path: jwksFile,
      graceMs: options.graceMs,
      watching: options.watching,
      read: (document) => readKeySet(document, algorithms),
    });
  const published: IssuerConfig = {
    ...times,
    issuer,
    audience,
    algorithms,
    clockToleranceS,
    jwksUrl: new URL('/openid/v1/jwks', config.apiServer),
    claims: {},
    tls: {
      files: { ca: config.caFile, cert: undefined, key: undefined },
      material: { parts: {}, subject: undefined, expiresMs: undefined },
      serverName: undefined,
    },
  };
  return createIssuerKeys(published, { ...options, get: getAsPod });

  /** The kubelet exchanges the token while the sidecar runs. */
  async function getAsPod(...[url, how]: Parameters<typeof getDocument>): ReturnType<typeof getDocument> {
    const token = await readFile(config.tokenFile, 'latin1').catch((cause: unknown) => {
      throw new Error(`${config.tokenFile} can not be read: is the token of the service account mounted?`, { cause });
    });
    return getDocument(url, { ...how, token: token.trim() });
  }
}
