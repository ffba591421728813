/** A server of OPA's bundle API for tests: tags, long polling, tokens, certificates. A stand-in for a control plane. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';

export interface BundleServer {
  readonly url: string;
  /** Every request so far. */
  readonly requests: readonly IncomingMessage[];
  /** What is served from now on; those who wait for it get it. */
  serve(bundle: Uint8Array): void;
  /** In the place of what is served. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  close(): void;
}

export interface BundleServerOptions {
  readonly tls?: TlsOptions;
  readonly longPolls?: boolean;
  readonly port?: number;
}

export async function startBundleServer(options: BundleServerOptions = {}): Promise<BundleServer> {
  const requests: IncomingMessage[] = [];
  const waiting = new Set<() => void>();
  let bundle: Uint8Array | undefined;
  let answer: BundleServer['answer'];
  const listener: RequestListener = (request, response) => {
    requests.push(request);
    if (answer !== undefined) {
      answer(request, response);
      return;
    }
    const seconds = Number(/wait=(\d+)/.exec(String(request.headers['prefer']))?.[1] ?? 0);
    const tell = (): void => {
      clearTimeout(timer);
      waiting.delete(tell);
      if (bundle === undefined) return void response.writeHead(404).end();
      const etag = `"${createHash('sha256').update(bundle).digest('hex').slice(0, 16)}"`;
      const type = options.longPolls === true ? 'application/vnd.openpolicyagent.bundles' : 'application/gzip';
      const isKnown = request.headers['if-none-match'] === etag;
      response.writeHead(isKnown ? 304 : 200, { etag, 'content-type': type }).end(isKnown ? undefined : bundle);
    };
    const waits = options.longPolls === true && seconds > 0 && request.headers['if-none-match'] !== undefined;
    const timer = setTimeout(tell, waits ? seconds * 1000 : 0);
    if (waits) waiting.add(tell);
  };
  const server: Server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${address.port}/bundles/authz.tar.gz`,
    requests,
    serve(next) {
      bundle = next;
      for (const tell of waiting) tell();
    },
    get answer() {
      return answer;
    },
    set answer(next) {
      answer = next;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
