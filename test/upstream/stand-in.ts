/** A stand-in for Ollama on a plain socket, so that it can also say what no server would; and an exchange with it. */
import { once } from 'node:events';
import net from 'node:net';
import { RequestError } from '../../src/errors.ts';
import { openConnections } from '../../src/upstream/connections.ts';
import { createUpstream, type Exchange, type Upstream } from '../../src/upstream/proxy.ts';
import type { UpstreamAnswer } from '../../src/upstream-answer.ts';
import { portOf } from '../support/port-of.ts';

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
  const port = portOf(server);
  return { url: `http://127.0.0.1:${port}`, sockets, received };
}

export function createTestUpstream(
  t: Cleaner,
  url: string,
  timeouts: { connect?: number; firstByte?: number } = {},
): Upstream {
  const baseUrl = new URL(url);
  const connections = openConnections({ baseUrl, timeouts: { connect: 30_000, firstByte: 30_000, ...timeouts } });
  const upstream = createUpstream({ baseUrl, connections });
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
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body), 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : Buffer.from(body),
    socket: callerSocket,
  });
}

/** Resolves a turn later, when the connection may be used again. @param onBytes told of all that came so far */
export function bodyOf(answer: UpstreamAnswer, onBytes: (body: string) => void = () => undefined): Promise<string> {
  let body = '';
  return new Promise((resolve, reject) => {
    answer.read({
      onData(chunk) {
        body += chunk.toString('latin1');
        onBytes(body);
      },
      onEnd: () => setImmediate(() => resolve(body)),
      onError: () => reject(new Error('the answer broke off')),
    });
  });
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
