/**
 * The thread of the ops listener. It answers `/healthz` itself, by whether the event loop still turns: a loop with a
 * thousand requests before it would answer seconds late, and Kubernetes would take it for dead. All else it asks the loop.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { workerData } from 'node:worker_threads';

import { createServerClose } from '../close-server.ts';
import { type OpsAnswer, plain } from './answer-ops.ts';
import { openChannel } from './channel.ts';
import { type FromThread, nowMs, type OpsThreadData, type ToThread } from './messages.ts';

// An import of node:http reads each of its exports, WebSocket among them, and so takes 5 MB more in a thread.
const { createServer } = process.getBuiltinModule('node:http');

function start({ channel: end, address, turned, workersTurned, stuckMs }: OpsThreadData): void {
  const waiting = new Map<number, ServerResponse>();
  let lastId = 0;
  const server = createServer((request, response) => {
    request.resume();
    const [path] = (request.url ?? '').split('?', 1);
    if (path === '/healthz' && (request.method === 'GET' || request.method === 'HEAD')) {
      write(response, describeHealth());
      return;
    }
    lastId += 1;
    const id = lastId;
    waiting.set(id, response);
    response.once('close', () => waiting.delete(id));
    send({ kind: 'question', id, question: questionOf(request) });
  });
  const close = createServerClose(server);
  server.once('error', (error: NodeJS.ErrnoException) =>
    send({ kind: 'failed', message: error.message, code: error.code }),
  );
  server.listen(address.port, address.host, () => {
    const bound = server.address();
    send({ kind: 'listening', port: typeof bound === 'object' && bound !== null ? bound.port : address.port });
  });
  const channel = openChannel<ToThread>(end, (message) => {
    if (message.kind === 'answer') {
      const response = waiting.get(message.id);
      if (response !== undefined) write(response, message.answer);
      return;
    }
    void close(message.graceMs).then(() => channel.close());
  });
  const send = (message: FromThread): void => channel.send(message);

  function describeHealth(): OpsAnswer {
    const now = nowMs();
    const stuck = Number(now - Atomics.load(turned, 0));
    // What is known of the others is only as new.
    if (stuck >= stuckMs) return plain(503, `The event loop has been stuck for ${stuck} ms.`);
    for (let index = 0; index < workersTurned.length; index += 1) {
      const behind = Number(now - Atomics.load(workersTurned, index));
      if (behind >= stuckMs)
        return plain(503, `The event loop of worker ${index + 1} has been stuck for ${behind} ms.`);
    }
    return plain(200, 'ok');
  }
}

function questionOf({ method = '', url = '', headers }: IncomingMessage) {
  return { method, url, accept: headers.accept };
}

function write(response: ServerResponse, { status, headers, text }: OpsAnswer): void {
  const body = Buffer.from(text);
  response.writeHead(status, { ...headers, 'content-length': body.length });
  response.end(body);
}

start(workerData);
