/**
 * A stand-in for Ollama that costs next to nothing: it answers from prepared buffers over plain sockets. Streams bring a
 * frame at each tick, because frames that leave together would reach a proxy in one read and cost it one.
 */
import { createServer, type Socket } from 'node:net';
import { portOf } from '../../test/support/port-of.ts';
import { type Asked, buildFrames, model, readAsked } from '../load/exchanges.ts';
import { announce } from './meter.ts';

/** Time between two frames of a stream, ms. */
const tickMs = 2;

interface Stream {
  readonly socket: Socket;
  readonly chunks: readonly Buffer[];
  next: number;
}

const streams = new Set<Stream>();
let ticking: NodeJS.Timeout | undefined;

const tags = answerOf(Buffer.from(JSON.stringify({ models: [{ name: `${model}:latest`, model: `${model}:latest` }] })));
const prepared = new Map<string, readonly Buffer[]>();

const server = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const stream of streams) if (stream.socket === socket) streams.delete(stream);
  });
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const headEnd = pending.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const head = pending.toString('latin1', 0, headEnd);
    const bodyStart = headEnd + 4;
    const bodyEnd = bodyStart + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (pending.length < bodyEnd) return;
    const body = pending.subarray(bodyStart, bodyEnd);
    // Nobody pipelines here.
    pending = Buffer.alloc(0);
    if (head.startsWith('GET ')) socket.write(tags);
    else answer(socket, readAsked(head, body));
  });
});

server.listen(0, '127.0.0.1', () => {
  announce(portOf(server));
});

function answer(socket: Socket, asked: Asked): void {
  const key = `${asked.kind} ${asked.frames} ${asked.includeUsage}`;
  let chunks = prepared.get(key);
  if (chunks === undefined) {
    chunks = prepare(asked);
    prepared.set(key, chunks);
  }
  const [first] = chunks;
  if (first === undefined) return;
  socket.write(first);
  if (chunks.length === 1) return;
  streams.add({ socket, chunks, next: 1 });
  ticking ??= setInterval(tick, tickMs);
}

function tick(): void {
  for (const stream of streams) {
    const chunk = stream.chunks[stream.next];
    if (chunk !== undefined) stream.socket.write(chunk);
    stream.next += 1;
    if (stream.next >= stream.chunks.length) streams.delete(stream);
  }
  if (streams.size > 0) return;
  clearInterval(ticking);
  ticking = undefined;
}

/** The bytes of each write: the head goes with the first frame, the end of the body with the last. */
function prepare(asked: Asked): readonly Buffer[] {
  const frames = buildFrames(asked);
  if (asked.kind === 'length' || asked.kind === 'completion') return frames.map(answerOf);
  const contentType = asked.kind === 'ndjson' ? 'application/x-ndjson' : 'text/event-stream';
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\n${date()}Transfer-Encoding: chunked\r\n\r\n`;
  const framed = new Map<Buffer, Buffer>();
  return frames.map((frame, index) => {
    const chunk = framed.get(frame) ?? chunkOf(frame);
    framed.set(frame, chunk);
    if (index === 0) return Buffer.concat([Buffer.from(head), chunk]);
    return index === frames.length - 1 ? Buffer.concat([chunk, Buffer.from('0\r\n\r\n')]) : chunk;
  });
}

function chunkOf(frame: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${frame.length.toString(16)}\r\n`), frame, Buffer.from('\r\n')]);
}

function answerOf(body: Buffer): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n${date()}Content-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function date(): string {
  return `Date: ${new Date().toUTCString()}\r\n`;
}
