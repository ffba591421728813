/**
 * A sidecar with a stand-in upstream that keeps every byte it gets, and an exchange over a real socket that gives all that
 * a test of hostile HTTP asks about: the answers, the audit events, what went upstream, and whether the connection closed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditEvent } from '../../src/types.ts';
import { startTestSidecar, type TestSidecar, type TestSidecarOptions } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { headerOf, parseMessage, parseResponses, type RawMessage, statusOf } from '../support/raw-http.ts';

export interface Forwarded {
  /** Request line and headers. */
  readonly head: string;
  /** Without chunk framing. */
  readonly body: string;
  readonly framing: RawMessage['framing'];
}

export interface HostileExchange {
  /** Interim answers left out. */
  readonly answers: readonly RawMessage[];
  /** All that came back, latin1. */
  readonly text: string;
  /** Of this exchange. */
  readonly events: readonly AuditEvent[];
  /** Whole requests that reached the upstream in this exchange. */
  readonly forwarded: readonly Forwarded[];
  /** The sidecar ended the connection, within `settleMs` of its last answer. */
  readonly closed: boolean;
}

export interface SendOptions {
  /** Of the requests that the bytes hold, as the sidecar is to see them; one POST unless told. */
  readonly methods?: readonly string[];
  /** Events to wait for; as many as methods unless told. */
  readonly events?: number;
  /** Later pieces of what is sent. */
  readonly later?: ReadonlyArray<{ readonly afterMs: number; readonly bytes: string | Buffer }>;
  /** End the caller's side behind the last piece: `half` goes on reading, `reset` does not. */
  readonly end?: 'half' | 'reset';
  /** How long the connection is watched for a close, ms. */
  readonly settleMs?: number;
}

export interface Hostile {
  readonly sidecar: TestSidecar;
  /** A request of a known caller, from its method and path, further header lines and its body. */
  request(line: string, headers?: string, body?: string): string;
  send(bytes: string | Buffer, options?: SendOptions): Promise<HostileExchange>;
  close(): Promise<void>;
}

/** What the upstream sends for a body that asks for this model; an empty text closes the connection. */
export type Script = Readonly<Record<string, string | ((socket: net.Socket, body: string) => void)>>;

const plain = '{"model":"tiny","done":true}';
export const plainAnswer = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${plain.length}\r\n\r\n${plain}`;

export const allowAll = { 'authz.rego': 'package ollama.authz\n\nallow := true\n' };

const longestMs = 30_000;

export async function startHostile(
  options: Omit<TestSidecarOptions, 'upstream'> & { readonly script?: Script } = {},
): Promise<Hostile> {
  const { script = {}, ...rest } = options;
  const sockets = new Set<net.Socket>();
  const forwarded: Forwarded[] = [];
  /** Bytes that no whole request was made of yet, by connection. */
  const unread = new Map<net.Socket, Buffer>();
  const upstream = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      let bytes = Buffer.concat([unread.get(socket) ?? Buffer.alloc(0), chunk]);
      for (;;) {
        const message = parseMessage(bytes, 0, undefined);
        if (message === undefined || !message.complete) break;
        const head = bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n'));
        bytes = bytes.subarray(message.end);
        const body = message.body.toString('latin1');
        // The list of models is the sidecar's own question.
        if (!head.startsWith('GET /api/tags') || /x-request-id/i.test(head)) {
          forwarded.push({ head, body, framing: message.framing });
        }
        const model = /"model": ?"(\w+)"/.exec(body)?.[1] ?? '';
        const answer = script[model] ?? (model === 'reset' ? '' : plainAnswer);
        if (typeof answer === 'function') answer(socket, body);
        else if (answer === '') socket.destroy();
        else socket.write(Buffer.from(answer, 'latin1'));
      }
      unread.set(socket, bytes);
    });
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const port = portOf(upstream);
  const sidecar = await startTestSidecar({
    policy: allowAll,
    ...rest,
    limits: { body: 4000, bodiesTotal: 64_000, ...rest.limits },
    upstream: `http://127.0.0.1:${port}`,
  });
  const token = sidecar.token();

  return {
    sidecar,
    request: (line, headers = '', body = '') =>
      `${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n${headers}\r\n${body}`,
    async send(bytes, sendOptions = {}) {
      const eventsBefore = sidecar.events.length;
      const forwardedBefore = forwarded.length;
      const seen = await exchange(sidecar.port, bytes, sendOptions);
      const expected = sendOptions.events ?? (sendOptions.methods ?? ['POST']).length;
      await sidecar.waitForEvents(eventsBefore + expected);
      // A second event would be told of with the next batch, 20 ms later.
      await sleep(30);
      const events = sidecar.events.slice(eventsBefore);
      assert.equal(events.length, expected, `events: ${JSON.stringify(events)}\nanswers: ${seen.text}`);
      for (const bytesOf of unread.values())
        assert.equal(bytesOf.length, 0, `half a request upstream: ${bytesOf.toString('latin1')}`);
      return { ...seen, events, forwarded: forwarded.slice(forwardedBefore) };
    },
    async close() {
      await sidecar.close();
      for (const socket of sockets) socket.destroy();
      upstream.close();
    },
  };
}

export interface HostileCase extends SendOptions {
  readonly name: string;
  readonly bytes: string;
  /** Status and code of each answer; no code where the upstream answered. As many audit events say the same. */
  readonly answers: ReadonlyArray<readonly [status: number, code?: string]>;
  /** Bodies that the upstream gets, each with a length of the sidecar's own; none unless told. */
  readonly forwarded?: readonly string[];
  readonly closed: boolean;
  /** Where several are under way at once they reach the upstream in any order. */
  readonly sortForwarded?: boolean;
}

/** Sends the bytes of a case and compares all that an exchange shows. */
export async function judge(hostile: Hostile, one: HostileCase): Promise<HostileExchange> {
  const exchange = await hostile.send(one.bytes, { methods: one.answers.map(() => 'POST'), ...one });
  const { answers, events, forwarded, closed, text } = exchange;
  assert.deepEqual(
    answers.map((answer) => [statusOf(answer), headerOf(answer, 'x-opallama-reason')]),
    one.answers.map(([status, code]) => [status, code]),
    text,
  );
  // Events come in the order in which requests end, answers in the order in which they were asked.
  assert.deepEqual(
    events.map(({ status, error, reasons }) => `${status} ${error ?? reasons[0]}`).toSorted(),
    one.answers.map(([status, code]) => `${status} ${code}`).toSorted(),
  );
  const bodies = forwarded.map(({ body }) => body);
  const expected = one.forwarded ?? [];
  if (one.sortForwarded === true) assert.deepEqual(bodies.toSorted(), expected.toSorted());
  else assert.deepEqual(bodies, expected);
  for (const { head, body, framing } of forwarded) {
    assert.equal(framing, body === '' ? 'none' : 'length', head);
    assert.doesNotMatch(head, /transfer-encoding|trailer|upgrade|expect|authorization/i);
  }
  assert.equal(closed, one.closed, `${closed ? 'closed' : 'open'}: ${text}`);
  return exchange;
}

/** One chunk and the last one. */
export function chunked(body: string, extension = ''): string {
  return `${body.length.toString(16)}${extension}\r\n${body}\r\n0\r\n\r\n`;
}

/** Sends the pieces and waits until all is answered and `settleMs` went by, or until the sidecar closes. */
async function exchange(
  port: number,
  first: string | Buffer,
  options: SendOptions,
): Promise<Pick<HostileExchange, 'answers' | 'text' | 'closed'>> {
  const methods = options.methods ?? ['POST'];
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const chunks: Buffer[] = [];
  let closed = false;
  let answeredAt: number | undefined;
  const answers = () => parseResponses(Buffer.concat(chunks), methods).filter((answer) => statusOf(answer) >= 200);
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    const all = answers();
    if (all.length >= methods.length && all.every(({ complete }) => complete)) answeredAt ??= Date.now();
  });
  // A reset behind an answer closes as well.
  socket.on('error', () => undefined);
  for (const event of ['end', 'close'] as const) {
    socket.on(event, () => {
      closed = true;
    });
  }
  socket.write(toBytes(first));
  for (const piece of options.later ?? []) {
    await sleep(piece.afterMs);
    if (!socket.destroyed) socket.write(toBytes(piece.bytes));
  }
  if (options.end === 'half') socket.end();
  if (options.end === 'reset') socket.resetAndDestroy();
  const deadline = Date.now() + longestMs;
  const settleMs = options.settleMs ?? 40;
  while (!closed && Date.now() < deadline && !(answeredAt !== undefined && Date.now() - answeredAt >= settleMs))
    await sleep(5);
  socket.destroy();
  const text = Buffer.concat(chunks).toString('latin1');
  assert.ok(Date.now() < deadline, `neither answered nor closed: ${text}`);
  return { answers: answers(), text, closed };
}

function toBytes(piece: string | Buffer): Buffer {
  return typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
}
