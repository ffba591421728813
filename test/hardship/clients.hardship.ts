/** Clients that are slow, many, or too many. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import {
  answerWhole,
  ask,
  askFor,
  beginStream,
  chatOf,
  figure,
  frame,
  open,
  quantile,
  rawChat,
  startHard,
  startScripted,
  until,
} from './harness.ts';

test('a client that does not read holds little of its answer here, and the upstream waits', async (t) => {
  const clients = 40;
  const written = new Map<ServerResponse, number>();
  const block = Buffer.from(frame.repeat(400));
  const upstream = await startScripted(t, (response, body) => {
    // The sidecar asks for the list of models too.
    if (body['stream'] !== true) return answerWhole(response);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    written.set(response, 0);
    const more = (): void => {
      let goesOn = !response.destroyed;
      while (goesOn) {
        written.set(response, (written.get(response) ?? 0) + block.length);
        goesOn = response.write(block);
      }
    };
    response.on('drain', more);
    more();
  });
  const sidecar = await startHard(t, { upstream });
  await ask(sidecar.port, { model: 'forbidden' });
  const before = await sidecar.memory();
  const sockets = await Promise.all(Array.from({ length: clients }, () => open(sidecar.port)));
  for (const socket of sockets) {
    socket.pause();
    socket.write(rawChat('tiny', true));
  }
  const total = (): number => [...written.values()].reduce((sum, bytes) => sum + bytes, 0);
  let last = -1;
  await until('the upstream waits', async () => {
    const [was, now] = [last, total()];
    last = now;
    await sleep(500);
    return written.size === clients && now === was && now === total();
  });
  t.diagnostic(
    `bytes that left the upstream for each client, sockets of the kernel included: ${Math.round(total() / clients / 1024)} KiB`,
  );
  figure(t, 'memory held for a client that does not read', ((await sidecar.memory()) - before) / clients, 1, 'MiB');
  for (const socket of sockets) socket.destroy();
  await until('all are let go', () => [...written.keys()].every((response) => response.destroyed));
});

test('a thousand slow heads and bodies leave the others alone', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream });
  await askFor(sidecar.port, 1500);
  const usual = quantile(await askFor(sidecar.port, 3000, 4, 2), 0.99);
  const slow = await Promise.all(Array.from({ length: 1000 }, () => open(sidecar.port)));
  const head = 'POST /api/chat HTTP/1.1\r\nHost: localhost\r\n';
  for (const [index, socket] of slow.entries()) {
    // Else its end would never be noticed here.
    socket.resume();
    socket.write(index % 2 === 0 ? head : `${head}Content-Length: 1000\r\n\r\n{`);
  }
  // Each sends a byte now and then, as an attacker who wants to stay would.
  const drip = setInterval(() => {
    for (const [index, socket] of slow.entries()) if (socket.writable) socket.write(index % 2 === 0 ? 'x' : ' ');
  }, 500);
  t.after(() => clearInterval(drip));
  await sleep(500);
  const meanwhile = quantile(await askFor(sidecar.port, 3000, 4, 2), 0.99);
  clearInterval(drip);
  figure(t, `p99 of others, ms, against ${usual.toFixed(1)} ms as usual`, meanwhile / usual, 2, 'times');
  await until(
    'slow heads are ended after timeouts.headers',
    () => slow.filter((_, i) => i % 2 === 0).every((one) => one.destroyed),
    20_000,
  );
  for (const socket of slow) socket.destroy();
});

test('two thousand idle streams wait, cost little, and end whole', async (t) => {
  const streams = 2000;
  const waiting = new Set<ServerResponse>();
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    waiting.add(response);
  });
  const sidecar = await startHard(t, { upstream, shell: 'ulimit -n 10000' });
  const usual = quantile(await askFor(sidecar.port, 2000, 4, 2), 0.99);
  const ended: Promise<unknown>[] = [];
  const clients: Socket[] = [];
  for (let begun = 0; begun < streams; begun += 100) {
    const some = await Promise.all(Array.from({ length: 100 }, () => open(sidecar.port)));
    for (const socket of some) {
      socket.write(rawChat('tiny', true));
      ended.push(endOf(socket));
      clients.push(socket);
    }
    await until('they stream', () => waiting.size === begun + 100, 20_000);
  }
  await sleep(1000);
  figure(t, 'memory with 2,000 idle streams', await sidecar.memory(), 300, 'MiB');
  const meanwhile = quantile(await askFor(sidecar.port, 2000, 4, 2), 0.99);
  t.diagnostic(`p99 of others: ${meanwhile.toFixed(1)} ms, ${usual.toFixed(1)} ms without the streams`);
  for (const response of waiting) response.end('{"done":true,"prompt_eval_count":1,"eval_count":1}\n');
  const ends = await Promise.all(ended);
  assert.ok(ends.every((whole) => whole === true));
  for (const socket of clients) socket.destroy();
});

/** @returns whether its last chunk came */
async function endOf(socket: Socket): Promise<boolean> {
  let tail = '';
  socket.on('data', (bytes: Buffer) => {
    tail = (tail + bytes.toString('latin1')).slice(-10);
    if (tail.endsWith('0\r\n\r\n')) socket.emit('whole');
  });
  await Promise.race([once(socket, 'whole'), once(socket, 'close')]);
  return tail.endsWith('0\r\n\r\n');
}

test('what is over the limit is refused at once and never waits', async (t) => {
  const held = new Set<ServerResponse>();
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    held.add(response);
  });
  const limit = 64;
  const sidecar = await startHard(t, { upstream, config: { limits: { in_flight: limit } } });
  await askFor(sidecar.port, 1000);
  const streams = await Promise.all(Array.from({ length: limit }, () => open(sidecar.port)));
  for (const socket of streams) socket.write(rawChat('tiny', true));
  await until('the limit is reached', () => held.size === limit);
  const times: number[] = [];
  const health: number[] = [];
  for (let i = 0; i < 300; i += 1) {
    const began = performance.now();
    assert.equal(await ask(sidecar.port), 503);
    times.push(performance.now() - began);
    if (i % 10 === 0) {
      const asked = performance.now();
      assert.equal((await fetch(`http://127.0.0.1:${sidecar.opsPort}/healthz`)).status, 200);
      health.push(performance.now() - asked);
    }
  }
  assert.equal(held.size, limit, 'none of them reached the upstream');
  figure(
    t,
    'p99 of the refusals',
    quantile(
      times.toSorted((a, b) => a - b),
      0.99,
    ),
    50,
    'ms',
  );
  for (const response of held) response.end('{"done":true}\n');
  await until('there is room again', async () => (await ask(sidecar.port)) === 200);
  for (const socket of streams) socket.destroy();
});

const probing = `
  const { parentPort, workerData } = require('node:worker_threads');
  (async () => {
    const times = [];
    for (let i = 0; i < workerData.count; i += 1) {
      const began = performance.now();
      const { status } = await fetch(workerData.url);
      times.push(status === 200 ? performance.now() - began : Infinity);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    parentPort.postMessage(times);
  })();
`;

test('the liveness probe answers under full load', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream });
  await askFor(sidecar.port, 1000, 8);
  const load = askFor(sidecar.port, 5000, 64);
  // In a thread of its own: the driver here is as busy as the sidecar is.
  const probe = new Worker(probing, {
    eval: true,
    workerData: { url: `http://127.0.0.1:${sidecar.opsPort}/healthz`, count: 60 },
  });
  const [times] = (await once(probe, 'message')) as [number[]];
  const answered = await load;
  t.diagnostic(`${answered.length} requests in 5 s on 64 connections, driver and upstream in one process`);
  figure(
    t,
    'p95 of /healthz',
    quantile(
      times.toSorted((a, b) => a - b),
      0.95,
    ),
    50,
    'ms',
  );
});

test('a body over the limit is refused before it is read', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream, config: { limits: { body: '64KiB' } } });
  await askFor(sidecar.port, 1000);
  const before = await sidecar.memory();
  const statuses = await Promise.all(
    Array.from({ length: 50 }, () =>
      sidecar.fetch('/api/chat', { method: 'POST', body: chatOf('x'.repeat(1 << 20)) }).then(
        ({ status }) => status,
        () => 413,
      ),
    ),
  );
  assert.deepEqual(new Set(statuses), new Set([413]));
  figure(t, 'memory after fifty bodies of a megabyte', Math.max(0, (await sidecar.memory()) - before), 30, 'MiB');
});
