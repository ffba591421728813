/**
 * A control plane for tests: OPA's bundle, status and decision log APIs as its docs describe them. It stands in for the
 * products that people have; a real OPA is held to the same one in test/management/beside-opa.test.ts.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';
import { gunzipSync } from 'node:zlib';

export type Json = Readonly<Record<string, unknown>>;

export interface Upload {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** As it came over the wire. */
  readonly bytes: Buffer;
  readonly events: readonly Json[];
}

export interface Report {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Json;
}

export interface ControlPlane {
  /** What is configured as the service. */
  readonly url: string;
  readonly uploads: readonly Upload[];
  readonly reports: readonly Report[];
  readonly requests: ReadonlyArray<{ readonly method: string; readonly url: string }>;
  /** Every event of every upload. */
  events(): readonly Json[];
  /** Serves it at a path below the service. */
  serve(path: string, bundle: Uint8Array): void;
  /** In the place of the answer to a request. @returns whether it has answered */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Waits at most 30 s. */
  until(holds: () => boolean): Promise<void>;
  close(): void;
}

export async function startControlPlane(tls?: TlsOptions): Promise<ControlPlane> {
  const uploads: Upload[] = [];
  const reports: Report[] = [];
  const requests: { method: string; url: string }[] = [];
  const bundles = new Map<string, { readonly etag: string; readonly bytes: Uint8Array }>();
  let intercept: ControlPlane['intercept'];

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request;
    requests.push({ method, url });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    if (intercept?.(request, response) === true) return;
    const path = url.replace(/^\/v1\/policy/, '');
    const bytes = Buffer.concat(chunks);
    if (method === 'GET') {
      const bundle = bundles.get(path);
      if (bundle === undefined) return void response.writeHead(404).end();
      const isKnown = headers['if-none-match'] === bundle.etag;
      response.writeHead(isKnown ? 304 : 200, { etag: bundle.etag, 'content-type': 'application/gzip' });
      return void response.end(isKnown ? undefined : bundle.bytes);
    }
    const text = headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
    const body: unknown = JSON.parse(text.toString('utf8'));
    if (/^\/logs(\/|$)/.test(path)) uploads.push({ path, headers, bytes, events: Array.isArray(body) ? body : [] });
    else if (/^\/status(\/|$)/.test(path)) reports.push({ path, headers, body: Object(body) });
    else return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(() => response.destroy());
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${address.port}/v1/policy`,
    uploads,
    reports,
    requests,
    events: () => uploads.flatMap(({ events }) => events),
    serve(path, bytes) {
      bundles.set(`/${path}`, { etag: `"${bundles.size}-${Date.now()}-${bytes.length}"`, bytes });
    },
    get intercept() {
      return intercept;
    },
    set intercept(next) {
      intercept = next;
    },
    async until(holds) {
      for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) if (holds()) return;
      throw new Error('not within 30 s');
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
