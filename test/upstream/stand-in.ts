/** A stand-in for Ollama on a plain socket, so that it can also say what no server would; and an exchange with it. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import { RequestError } from '../../src/errors.ts';
import { createUpstreamAgent } from '../../src/upstream/agent.ts';
import { createUpstream, type Exchange, type Upstream } from '../../src/upstream/proxy.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

export interface StandIn {
  readonly url: string;
  /** Every connection, oldest first. */
  readonly sockets: readonly net.Socket[];
  /** All that it received, by connection. */
  readonly received: readonly string[];
}

/** @param answer called with each piece of a request, and all that came on that connection so far */
export async function startStandIn(
  t: Cleaner,
  answer: (socket: net.Socket, received: string) => void,
): Promise<StandIn> {
  const sockets: net.Socket[] = [];
  const received: string[] = [];
  const server = net.createServer((socket) => {
    const index = sockets.push(socket) - 1;
    received[index] = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      received[index] += bytes.toString('latin1');
      answer(socket, received[index] ?? '');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { url: `http://127.0.0.1:${address.port}`, sockets, received };
}

export function createTestUpstream(
  t: Cleaner,
  url: string,
  timeouts: { connect?: number; firstByte?: number } = {},
): Upstream {
  const upstream = createUpstream({
    baseUrl: new URL(url),
    agent: createUpstreamAgent(new URL(url), undefined),
    timeouts: { connect: 30_000, firstByte: 30_000, ...timeouts },
  });
  t.after(() => upstream.close());
  return upstream;
}

/** The caller's socket, which the middleware only looks at. */
const callerSocket = new net.Socket();

export function send(
  upstream: Upstream,
  over: { method?: string; path?: string; body?: string | undefined } = {},
): Exchange {
  const body = 'body' in over ? over.body : '{"model":"tiny"}';
  return upstream.send({
    method: over.method ?? 'POST',
    path: over.path ?? '/api/chat',
    headers: {
      host: upstream.host,
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body), 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : Buffer.from(body),
    socket: callerSocket,
  });
}

export async function bodyOf(answer: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of answer) body += String(chunk);
  return body;
}

/** The RequestError with which an exchange ends. */
export async function failureOf(exchange: Exchange): Promise<RequestError> {
  try {
    await exchange.answer;
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error('it was answered');
}

/** Looks every 5 ms for at most 30 s. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`not so: ${what}`);
}
