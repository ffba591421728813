/**
 * A stand-in for Ollama that answers with recorded bytes, whatever it is asked, and keeps what it received. It is a plain
 * socket, so what goes over the wire is what was recorded, chunk framing included.
 */
import net from 'node:net';
import { portOf } from './port-of.ts';
import { parseMessage, parseResponses, type RawMessage, statusOf } from './raw-http.ts';

export interface RecordedExchange {
  /** Method and target of each request. */
  readonly asks: readonly string[];
  readonly methods: readonly string[];
  /** The responses to all of them, one behind the other. */
  readonly response: Buffer;
}

export interface ReplayUpstream {
  readonly url: string;
  /** Requests since the last `answerWith`. */
  readonly received: readonly RawMessage[];
  /** Requests that were begun since the last `answerWith`, whether or not they came to an end. */
  readonly begun: number;
  /**
   * Sets what the next requests are answered with: each gets the response that was recorded for its method and target, so
   * that pipelined requests may come in any order.
   */
  answerWith(exchange: RecordedExchange): void;
  close(): Promise<void>;
}

/** The sidecar lists the models on its own account too, for its metrics; only what it forwards has an id. */
function asksForItself(chunk: Buffer): boolean {
  return chunk.includes('GET /api/tags ') && !/\r\nx-request-id:/i.test(chunk.toString('latin1'));
}

export async function startReplayUpstream(): Promise<ReplayUpstream> {
  let received: RawMessage[] = [];
  let answers: Array<{ readonly ask: string; readonly bytes: Buffer; readonly last: boolean }> = [];
  let begun = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      const isOwn = asksForItself(chunk);
      if (chunks.length === 0 && !isOwn) begun += 1;
      chunks.push(chunk);
      const request = parseMessage(Buffer.concat(chunks), 0, undefined);
      if (request?.complete !== true) return;
      chunks.length = 0;
      if (isOwn) {
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"models":[]}');
        return;
      }
      received.push(request);
      const at = answers.findIndex(({ ask }) => request.startLine.startsWith(`${ask} `));
      const [answer] = at === -1 ? [] : answers.splice(at, 1);
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      socket.write(answer.bytes);
      if (answer.last) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = portOf(server);
  return {
    url: `http://127.0.0.1:${port}`,
    get received() {
      return received;
    },
    get begun() {
      return begun;
    },
    answerWith({ asks, methods, response }) {
      received = [];
      begun = 0;
      let at = 0;
      const finals = parseResponses(response, methods).flatMap((message) => {
        const bytes = response.subarray(at, message.end);
        at = message.end;
        const closes = message.headers.some(([name, value]) => /^connection$/i.test(name) && /^close$/i.test(value));
        return statusOf(message) < 200 ? [] : [{ bytes, last: closes || message.framing === 'until_close' }];
      });
      answers = finals.map((answer, index) => ({ ...answer, ask: asks[index] ?? '' }));
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
