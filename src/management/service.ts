/** One request to a control plane, as OPA's clients make them (OPA's docs: configuration, services). */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

import type { ServiceConfig } from '../configured/management.ts';
import type { TlsMaterial, TlsPart } from '../configured/tls.ts';
import { postJson } from '../post-json.ts';

/** A report that was not taken. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  /** What the server answered; undefined where it did not. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export interface Posted {
  /** Below the service's URL, beginning with a slash. */
  readonly path: string;
  /** JSON. */
  readonly body: Uint8Array;
  readonly gzipped: boolean;
  readonly signal: AbortSignal;
}

/** @throws ServiceError for any answer but 2xx; a redirect is one: the token is for nobody else */
export async function post(service: ServiceConfig, { path, body, gzipped, signal }: Posted): Promise<void> {
  const { url, timeout } = service;
  const place = `${url.origin}${url.pathname.replace(/\/$/, '')}${path}`;
  const [token, tls] = await Promise.all([readToken(service), readCertificates(service)]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  try {
    await postJson(place, { body, gzipped, token, tls, signal: limit }, async ({ statusCode: status = 0 }) => {
      // What it says is of no use, and may have no end.
      if (status < 200 || status > 299) throw new ServiceError(`${place} answered ${status}.`, status);
    });
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw limit.aborted && !signal.aborted
      ? new ServiceError(`${place} did not answer within ${timeout} ms.`, undefined, { cause: error })
      : new ServiceError(`${place} could not be reached${code}.`, undefined, { cause: error });
  }
}

/** From its file each time: such tokens are exchanged every hour. */
async function readToken({ name, token, tokenSource }: ServiceConfig): Promise<string | undefined> {
  if (tokenSource?.member !== 'token_file') return token;
  const text = await readFile(tokenSource.value, 'latin1').catch((cause: unknown) => {
    throw new ServiceError(`The token of ${name}, ${tokenSource.value}, can't be read.`, undefined, { cause });
  });
  return text.replace(/\r?\n$/, '');
}

/** As the token: certificates that live for a day are common where workloads have identities of their own. */
async function readCertificates({ name, tls }: ServiceConfig): Promise<ServiceConfig['tls']> {
  if (tls === undefined) return undefined;
  const { files, material } = tls;
  const read = (part: TlsPart): Promise<Buffer> | Buffer | undefined => {
    const path = files[part];
    return path === undefined ? material.parts[part] : readFile(path);
  };
  try {
    const [cert, key, ca] = await Promise.all([read('cert'), read('key'), read('ca')]);
    const parts: TlsMaterial['parts'] = { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
    createSecureContext(parts);
    return { ...tls, material: { ...material, parts } };
  } catch (cause) {
    // Also while one of two files is new already: what is to be reported is sent again.
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new ServiceError(`The files of the certificates of ${name} can't be used${code}.`, undefined, { cause });
  }
}
