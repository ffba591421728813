/**
 * `npm run bench:framing`: what a frame costs to write as Node makes chunks, and as `src/stream/body-writer.ts` does. Both in
 * one process and by turns, because two processes of the same code differ by more. `-- 40` for more rounds.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import { openBody } from '../src/stream/body-writer.ts';
import { portOf } from '../test/support/port-of.ts';
import { buildFrames } from './load/exchanges.ts';
import { medianOf, medianRatio } from './measure/statistics.ts';

const streams = 32;
const frames = 300;
/** Between two frames of a stream, ms. */
const everyMs = 2;
/** Until V8 has made the code fast, rounds. */
const settling = 4;

interface Stream {
  write(frame: Buffer): unknown;
  end(): unknown;
}

const ways = new Map<string, (sink: ServerResponse) => Stream>([
  ['/node', (sink) => sink],
  ['/ours', openBody],
]);

if (isMainThread) await measure(Number(process.argv[2] ?? 20));
else serveAsClient();

async function measure(rounds: number): Promise<void> {
  const [frame] = buildFrames({ kind: 'sse', frames: 1, includeUsage: false });
  if (frame === undefined) throw new Error('no frame');
  const open: Stream[] = [];
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const stream = ways.get(request.url ?? '')?.(response);
    if (stream !== undefined) open.push(stream);
    response.flushHeaders();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  const client = new Worker(new URL(import.meta.url));
  const costs = new Map<string, number[]>();
  for (let round = 0; round < settling + rounds; round += 1) {
    for (const path of ways.keys()) {
      open.length = 0;
      client.postMessage({ port, path });
      while (open.length < streams) await sleep(1);
      const before = process.threadCpuUsage();
      for (let sent = 0; sent < frames; sent += 1) {
        for (const stream of open) stream.write(frame);
        await sleep(everyMs);
      }
      const { user, system } = process.threadCpuUsage(before);
      for (const stream of open) stream.end();
      await once(client, 'message');
      if (round < settling) continue;
      costs.set(path, [...(costs.get(path) ?? []), (user + system) / (streams * frames)]);
    }
  }
  await client.terminate();
  server.close();
  const node = costs.get('/node') ?? [];
  const ours = costs.get('/ours') ?? [];
  process.stdout.write(
    `CPU of writing a frame of ${frame.length} bytes, median of ${rounds} rounds: ` +
      `Node's chunks ${medianOf(node).toFixed(1)} µs, ours ${medianOf(ours).toFixed(1)} µs (${medianRatio(ours, node).toFixed(2)})\n`,
  );
}

/** Reads all that comes, in a thread of its own. */
function serveAsClient(): void {
  parentPort?.on('message', ({ port, path }: { readonly port: number; readonly path: string }) => {
    let left = streams;
    for (let i = 0; i < streams; i += 1) {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`);
      });
      socket.resume().on('close', () => {
        left -= 1;
        if (left === 0) parentPort?.postMessage('read');
      });
    }
  });
}
