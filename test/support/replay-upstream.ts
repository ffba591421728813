/**
 * A stand-in for Ollama that answers with recorded bytes, whatever it is asked, and keeps what it received. It is a plain
 * socket, so what goes over the wire is what was recorded, chunk framing included.
 */
import net from 'node:net';
import { parseMessage, parseResponses, type RawMessage, statusOf } from './raw-http.ts';

export interface ReplayUpstream {
  readonly url: string;
  /** Requests since the last `answerWith`. */
  readonly received: readonly RawMessage[];
  /** Connections since the last `answerWith`, whether or not anything was sent on them. */
  readonly connections: number;
  /**
   * Sets what the next requests are answered with, one recorded response each.
   * @param methods that the recorded responses answered
   */
  answerWith(response: Buffer, methods: readonly string[]): void;
  close(): Promise<void>;
}

export async function startReplayUpstream(): Promise<ReplayUpstream> {
  let received: RawMessage[] = [];
  let answers: Array<{ readonly bytes: Buffer; readonly last: boolean }> = [];
  let connections = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      const request = parseMessage(Buffer.concat(chunks), 0, undefined);
      if (request?.complete !== true) return;
      chunks.length = 0;
      received.push(request);
      const answer = answers.shift();
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      socket.write(answer.bytes);
      if (answer.last) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    get received() {
      return received;
    },
    get connections() {
      return connections;
    },
    answerWith(response, methods) {
      received = [];
      connections = 0;
      let at = 0;
      answers = parseResponses(response, methods).flatMap((message) => {
        const bytes = response.subarray(at, message.end);
        at = message.end;
        const closes = message.headers.some(([name, value]) => /^connection$/i.test(name) && /^close$/i.test(value));
        return statusOf(message) < 200 ? [] : [{ bytes, last: closes || message.framing === 'until_close' }];
      });
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
