/** A JSON document of an issuer, over HTTPS: no redirects, bounded in time and size, its authorities read anew each time. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

import type { UpstreamTls } from '../configured/tls.ts';

export interface GetOptions {
  /** For the whole of it, ms. */
  readonly timeoutMs: number;
  readonly tls: UpstreamTls | undefined;
  /** Sent as a bearer token. */
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
}

export interface IssuerDocument {
  readonly value: unknown;
  /** How long it may be kept, seconds; undefined where that is not said. */
  readonly maxAgeS: number | undefined;
}

/** Of a key set with 100 keys of 4096 bits and their certificates. */
const mostBytes = 512 * 1024;

/** @throws Error that says which URL did what, never what was sent */
export async function getDocument(url: URL, options: GetOptions): Promise<IssuerDocument> {
  const fault = (what: string, cause?: unknown): Error =>
    new Error(`${url.origin}${url.pathname} ${what}`, cause === undefined ? {} : { cause });
  // Checked where it is configured too; an OpenID configuration names URLs that nobody checked.
  if (url.protocol !== 'https:' || url.username !== '' || url.password !== '')
    throw fault('is no plain https URL, so it is not asked');
  const limit = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  const material = await readMaterial(options.tls).catch((cause: unknown) => {
    throw fault('is not asked: a file of its tls section can not be read', cause);
  });
  const request = requestHttps(url, {
    // Rare requests: a connection that was kept would be a dead one.
    agent: false,
    signal: limit,
    headers: {
      accept: 'application/jwk-set+json, application/json',
      'user-agent': 'opallama',
      ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
    },
    ...material,
    ...(options.tls?.serverName !== undefined && { servername: options.tls.serverName }),
  });
  // What comes behind the first one says nothing more.
  request.on('error', () => {});
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject).end();
    });
    const { statusCode: status = 0, headers } = answer;
    if (status >= 300 && status < 400) throw fault(`answered ${status}; redirects are not followed`);
    if (status !== 200) throw fault(`answered ${status}`);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer) {
      if (!Buffer.isBuffer(chunk)) continue;
      bytes += chunk.length;
      if (bytes > mostBytes) throw fault(`sent more than ${mostBytes} bytes`);
      chunks.push(chunk);
    }
    if (!answer.complete) throw fault('sent half an answer');
    return { value: parse(Buffer.concat(chunks), fault), maxAgeS: readMaxAge(headers['cache-control']) };
  } catch (error) {
    if (error instanceof Error && error.message.startsWith(`${url.origin}${url.pathname} `)) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw limit.aborted
      ? fault(`did not answer within ${options.timeoutMs} ms`, error)
      : fault(`could not be reached${code}`, error);
  } finally {
    request.destroy();
  }
}

function parse(bytes: Buffer, fault: (what: string) => Error): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw fault('answered with something that is no JSON');
  }
}

/** RFC 9111 section 5.2.2; what must not be kept is kept for 0 s. */
export function readMaxAge(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/(?:^|[\s,])(?:no-store|no-cache)(?:$|[\s,=])/i.test(header)) return 0;
  const digits = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,10})/i.exec(header)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Authorities are exchanged while the sidecar runs, those of a cluster too. */
async function readMaterial(tls: UpstreamTls | undefined): Promise<Partial<Record<'cert' | 'key' | 'ca', Buffer>>> {
  if (tls === undefined) return {};
  const material: Partial<Record<'cert' | 'key' | 'ca', Buffer>> = { ...tls.material.parts };
  for (const part of ['cert', 'key', 'ca'] as const) {
    const path = tls.files[part];
    if (path !== undefined) material[part] = await readFile(path);
  }
  return material;
}
