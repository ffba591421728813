/** `deliver` between real sockets: an upstream that a test scripts, a server that delivers, a client that a test drives. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import net from 'node:net';
import { type Delivery, type DeliveryInProgress, deliver } from '../../src/stream/deliver.ts';
import { openConnections } from '../../src/upstream/connections.ts';
import { createUpstream, type Upstream } from '../../src/upstream/proxy.ts';
import { portOf } from '../support/port-of.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

export interface Stage {
  readonly port: number;
  /** The connections that reached the stand-in for the upstream, latest last. */
  readonly upstreamSockets: readonly net.Socket[];
  /** One for each request, in order. */
  readonly deliveries: readonly DeliveryInProgress[];
  readonly firstBytes: () => number;
}

type Script = (socket: net.Socket) => void;

/** @param script what the stand-in for the upstream does with a connection, once the request's head is there */
export async function startDelivery(
  t: Cleaner,
  script: Script,
  over: Partial<Pick<Delivery, 'idleMs' | 'errorFrame' | 'filter' | 'tap' | 'headers'>> = {},
): Promise<Stage> {
  const upstreamSockets: net.Socket[] = [];
  const upstream = net.createServer((socket) => {
    upstreamSockets.push(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', () => script(socket));
  });
  const deliveries: DeliveryInProgress[] = [];
  let firstBytes = 0;
  const server = createServer((request, response) => {
    const asked = upstreamOf(upstream).send({
      method: request.method ?? '',
      path: request.url ?? '/',
      headers: {},
      body: undefined,
      socket: request.socket,
    });
    asked.answer.then(
      (source) => {
        const delivery = deliver({
          source,
          sink: response,
          status: source.status,
          headers: {
            'content-type': 'text/plain',
            ...(source.headers['content-length'] && { 'content-length': source.headers['content-length'] }),
          },
          tap: undefined,
          filter: undefined,
          idleMs: 0,
          onFirstByte: () => {
            firstBytes += 1;
          },
          errorFrame: (code) => Buffer.from(`{"error":"${code}"}\n`),
          ...over,
        });
        // What it rejects with would be answered by the pipeline.
        delivery.ended.catch(() => response.writeHead(502).end('not delivered'));
        deliveries.push(delivery);
      },
      () => response.destroy(),
    );
  });
  upstream.listen(0, '127.0.0.1');
  server.listen(0, '127.0.0.1');
  await Promise.all([once(upstream, 'listening'), once(server, 'listening')]);
  t.after(() => {
    for (const socket of upstreamSockets) socket.destroy();
    server.closeAllConnections();
    server.close();
    upstream.close();
  });
  return { port: portOf(server), upstreamSockets, deliveries, firstBytes: () => firstBytes };
}

export const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n';

export function chunk(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

export const lastChunk = '0\r\n\r\n';

export interface Client {
  readonly socket: net.Socket;
  /** All that came so far. */
  text(): string;
  /** Waits until it holds this, at most 30 s. */
  until(text: string): Promise<void>;
  readonly closed: Promise<unknown>;
}

export function ask(t: Cleaner, port: number, method = 'GET'): Client {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  socket.write(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`);
  return {
    socket,
    text: () => text,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => stop(`${JSON.stringify(wanted)} did not come`), 30_000);
        const look = () => text.includes(wanted) && stop();
        const leave = () => stop(`closed before ${JSON.stringify(wanted)} came`);
        const stop = (fault?: string) => {
          clearTimeout(timer);
          socket.off('data', look).off('close', leave);
          if (fault === undefined) resolve();
          else reject(new Error(`${fault}: ${text.slice(-500)}`));
        };
        socket.on('data', look).on('close', leave);
        look();
      }),
    closed: once(socket, 'close'),
  };
}

/** Waits until a number stands still for half a second, at most 30 s. @returns it */
export async function untilStill(read: () => number): Promise<number> {
  let [last, same] = [read(), 0];
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = read();
    same = now === last ? same + 1 : 0;
    if (same === 10) return now;
    last = now;
  }
  throw new Error(`it does not stand still: ${last}`);
}

/** Waits at most 30 s. */
export async function firstOf<T>(list: readonly T[]): Promise<T> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    const [first] = list;
    if (first !== undefined) return first;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it did not come');
}

/** One without connections of others, as each test has its own script. */
function upstreamOf(server: net.Server): Upstream {
  const baseUrl = new URL(`http://127.0.0.1:${portOf(server)}`);
  return createUpstream({ baseUrl, connections: openConnections({ baseUrl, timeouts: { connect: 0, firstByte: 0 } }) });
}
