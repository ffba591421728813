/** One request that brings JSON to a service: a control plane, a collector, who keeps the heads of the audit file. */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

import type { TlsMaterial } from './configured/tls.ts';

export interface PostedJson {
  readonly body: Uint8Array;
  readonly gzipped: boolean;
  /** Bearer token. */
  readonly token: string | undefined;
  readonly tls: { readonly material: TlsMaterial; readonly serverName: string | undefined } | undefined;
  readonly signal: AbortSignal;
}

/**
 * No redirect is followed: the token is for nobody else.
 *
 * @param take is given the head of the answer, whatever its status; the connection ends when it is done
 * @throws the connection's own error, and what `take` throws
 */
export async function postJson<T>(
  place: string | URL,
  { body, gzipped, token, tls, signal }: PostedJson,
  take: (answer: IncomingMessage) => Promise<T>,
): Promise<T> {
  const { protocol } = new URL(place);
  const request = (protocol === 'https:' ? requestHttps : requestHttp)(place, {
    method: 'POST',
    // Such requests are rare: a connection that was kept could be a dead one.
    agent: false,
    signal,
    headers: {
      'content-type': 'application/json',
      'content-length': body.byteLength,
      'user-agent': 'opallama',
      ...(gzipped && { 'content-encoding': 'gzip' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...tls?.material.parts,
    ...(tls?.serverName !== undefined && { servername: tls.serverName }),
  });
  // What comes behind the first one says nothing more.
  request.on('error', () => {});
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject).end(body);
    });
    return await take(answer);
  } finally {
    request.destroy();
  }
}
