/** TLS for tests: what the configuration would have made of files, an https stand-in for Ollama, and a client. */
import { once } from 'node:events';
import { type Agent, createServer, request } from 'node:https';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import type { ListenTls, TlsMaterial, UpstreamTls } from '../../src/configured/tls.ts';
import { checkMaterial } from '../../src/tls/material.ts';
import type { Issued } from './certificates.ts';
import { portOf } from './port-of.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

export interface TestTls {
  readonly own?: Issued;
  readonly ca?: Issued;
}

export function materialOf({ own, ca }: TestTls): TlsMaterial {
  const checked = checkMaterial(
    {
      cert: own && Buffer.from(own.cert),
      key: own && Buffer.from(own.key),
      ca: ca && Buffer.from(ca.cert),
    },
    Date.now(),
  );
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults));
  return checked.material;
}

const noFiles = { cert: undefined, key: undefined, ca: undefined };

export function listenTlsOf(parts: TestTls, more: Partial<ListenTls> = {}): ListenTls {
  const clientAuth = parts.ca === undefined ? undefined : 'require';
  return { files: noFiles, material: materialOf(parts), clientAuth, minVersion: 'TLSv1.2', ...more };
}

export function upstreamTlsOf(parts: TestTls, more: Partial<UpstreamTls> = {}): UpstreamTls {
  return { files: noFiles, material: materialOf(parts), serverName: undefined, ...more };
}

/** Answers a chat in one frame, and any other request with its own version; a stand-in for Ollama behind TLS. */
export async function startTlsStandIn(t: Cleaner, options: TlsOptions): Promise<{ readonly url: string }> {
  const server = createServer(options, (incoming, response) => {
    incoming.resume();
    response.setHeader('content-type', 'application/json');
    if (incoming.url === '/api/chat') response.end('{"done":true,"prompt_eval_count":3,"eval_count":4}');
    else response.end('{"version":"0.17.4"}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server);
  return { url: `https://127.0.0.1:${port}` };
}

export interface TlsAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** The caller's own port, by which one connection is told from another. */
  readonly port: number | undefined;
}

export interface TlsCall extends ConnectionOptions {
  readonly agent?: Agent;
  readonly token?: string;
  readonly path?: string;
  readonly method?: string;
  readonly payload?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request, on a connection of its own where no agent says otherwise. Rejects where no answer comes, with what was wrong. */
export function call(
  url: string,
  { token, path = '/api/version', payload, method, agent, headers, ...tls }: TlsCall,
): Promise<TlsAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), {
      ...tls,
      agent: agent ?? false,
      method: method ?? (payload === undefined ? 'GET' : 'POST'),
      headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      timeout: 30_000,
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const port = response.socket.localPort;
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body, port }));
    });
    outgoing.end(payload);
  });
}
