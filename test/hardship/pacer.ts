/**
 * A stand-in for Ollama in a process of its own: each stream brings a frame at its own times, with the time at which it left.
 * `options.interval_ms` and `options.num_predict` of the request say how often and how many.
 */
import { createServer, type ServerResponse } from 'node:http';
import { portOf } from '../support/port-of.ts';

interface Stream {
  readonly response: ServerResponse;
  readonly intervalMs: number;
  left: number;
  dueMs: number;
}

const streams = new Set<Stream>();
/** Streams that began together would else bring all their frames together. */
const stagger = 0.618;
let begun = 0;

const server = createServer({ noDelay: true }, (request, response) => {
  let text = '';
  request.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  request.once('end', () => {
    if (text === '') {
      response.setHeader('content-type', 'application/json').end('{"models":[]}');
      return;
    }
    const { options } = JSON.parse(text);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
    begun += 1;
    const intervalMs = Number(options.interval_ms);
    const dueMs = performance.now() + intervalMs * ((begun * stagger) % 1);
    const stream = { response, intervalMs, left: Number(options.num_predict), dueMs };
    streams.add(stream);
    response.once('close', () => streams.delete(stream)).on('error', () => undefined);
  });
});

setInterval(() => {
  const nowMs = performance.now();
  for (const stream of streams) {
    if (stream.dueMs > nowMs) continue;
    // A tick that comes late must not send several at once.
    stream.dueMs = Math.max(stream.dueMs + stream.intervalMs, nowMs);
    stream.left -= 1;
    if (stream.left < 0) {
      streams.delete(stream);
      stream.response.end('{"message":{"content":""},"done":true,"prompt_eval_count":3,"eval_count":9}\n');
    } else {
      stream.response.write(`{"message":{"content":"hi"},"t":${process.hrtime.bigint()},"done":false}\n`);
    }
  }
}, 1);

server.listen(0, '127.0.0.1', () => {
  process.send?.(portOf(server));
});
process.on('disconnect', () => process.exit(0));
