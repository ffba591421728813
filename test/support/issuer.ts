/** An issuer of tokens for tests: keys and an OpenID configuration over real HTTPS. A stand-in for an identity provider. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { IssuerConfig } from '../../src/configured/identity.ts';
import { issue, issueAuthority } from './certificates.ts';
import { materialOf } from './tls.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

export interface IssuerKey {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function createIssuerKey(kid: string): IssuerKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' };
  return { kid, algorithm: 'ES256', privateKey, jwk };
}

export interface TestIssuer {
  readonly url: string;
  /** Of the authority that vouches for it. */
  readonly caFile: string;
  /** Paths that were asked for. */
  readonly asked: readonly string[];
  /** Of the keys. */
  cacheControl: string | undefined;
  /** Published from now on. */
  publish(...keys: readonly IssuerKey[]): void;
  /** In the place of every document. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  config(over?: Partial<IssuerConfig>): IssuerConfig;
}

export async function startIssuer(t: Cleaner): Promise<TestIssuer> {
  const authority = issueAuthority('test issuers');
  const own = issue({ name: { CN: 'issuer' }, issuer: authority, ips: ['127.0.0.1'] });
  const directory = mkdtempSync(join(tmpdir(), 'opallama-issuer-'));
  const caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, authority.cert);
  const asked: string[] = [];
  let published: readonly IssuerKey[] = [];
  const server = createServer({ cert: own.cert, key: own.key }, (request, response) => {
    asked.push(request.url ?? '');
    if (issuer.answer !== undefined) return issuer.answer(request, response);
    const documents: Readonly<Record<string, unknown>> = {
      '/.well-known/openid-configuration': { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` },
      '/keys': { keys: published.map(({ jwk }) => jwk) },
    };
    const document = documents[request.url ?? ''];
    if (document === undefined) return void response.writeHead(404).end();
    if (issuer.cacheControl !== undefined) response.setHeader('cache-control', issuer.cacheControl);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(document));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, maxRetries: 10 });
  });
  const issuer: TestIssuer = {
    url: `https://127.0.0.1:${address.port}`,
    caFile,
    asked,
    cacheControl: undefined,
    publish(...keys) {
      published = keys;
    },
    answer: undefined,
    config: (over) => ({
      issuer: issuer.url,
      audience: 'opallama',
      algorithms: ['ES256'],
      jwksUrl: undefined,
      claims: {},
      clockToleranceS: 0,
      tls: {
        files: { cert: undefined, key: undefined, ca: caFile },
        material: materialOf({ ca: authority }),
        serverName: undefined,
      },
      timeout: 20_000,
      refresh: 300_000,
      refreshMin: 30_000,
      refreshMax: 900_000,
      stale: 86_400_000,
      ...over,
    }),
  };
  return issuer;
}
