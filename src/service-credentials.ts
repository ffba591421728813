/**
 * What the sidecar shows a service that it asks or reports to: read from its files for each connection, because tokens are
 * exchanged every hour and certificates of workloads every day.
 */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

import type { TlsMaterial, TlsPart, UpstreamTls } from './configured/tls.ts';

export interface ServiceToken {
  /** As it was when the sidecar started. */
  readonly token: string | undefined;
  readonly tokenSource: { readonly member: 'token_env' | 'token_file'; readonly value: string } | undefined;
}

/**
 * @returns the bearer token as its file has it now
 * @throws what the file system says (rejects)
 */
export async function readToken({ token, tokenSource }: ServiceToken): Promise<string | undefined> {
  if (tokenSource?.member !== 'token_file') return token;
  return (await readFile(tokenSource.value, 'latin1')).replace(/\r?\n$/, '');
}

/**
 * @returns the certificates as their files have them now
 * @throws what the file system says, or OpenSSL where they don't fit together (rejects): also while one of two files is
 *   new already, so that who has something to say tries it again
 */
export async function readCertificates<Tls extends ConfiguredTls>(tls: Tls): Promise<Tls> {
  const parts = await readParts(tls);
  createSecureContext(parts);
  return { ...tls, material: { ...tls.material, parts } };
}

type ConfiguredTls = Pick<UpstreamTls, 'files' | 'material'>;

/**
 * @returns the parts as their files have them now, unchecked; what came from no file, as it is
 * @throws what the file system says (rejects)
 */
export async function readParts({ files, material }: ConfiguredTls): Promise<TlsMaterial['parts']> {
  const read = (part: TlsPart): Promise<Buffer> | Buffer | undefined => {
    const path = files[part];
    return path === undefined ? material.parts[part] : readFile(path);
  };
  const [cert, key, ca] = await Promise.all([read('cert'), read('key'), read('ca')]);
  return { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
}
