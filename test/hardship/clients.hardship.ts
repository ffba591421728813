/** Clients that are slow, many, or too many. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ask, type Caller, carryOut, chatOf, startCaller, startIdleServer } from './ask.ts';
import { bestOf, hold, middleOf, quantile, show } from './figures.ts';
import { answerWhole, beginStream, frame, open, rawChat, startHard, startScripted, until } from './harness.ts';

test('a client that does not read holds little of its answer here, and the upstream waits', async (t) => {
  // The first of them make the process as large as it gets by what passes through it.
  const [first, clients] = [40, 60];
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
  const sidecar = await startHard(t, { upstream, tells: true });
  await ask(sidecar.port, { model: 'forbidden' });
  const sockets: Socket[] = [];
  const total = (): number => [...written.values()].reduce((sum, bytes) => sum + bytes, 0);
  const stopReading = async (more: number): Promise<void> => {
    const some = await Promise.all(Array.from({ length: more }, () => open(sidecar.port)));
    for (const socket of some) socket.pause().write(rawChat('tiny', true));
    sockets.push(...some);
    let last = -1;
    await until('the upstream waits', async () => {
      const [was, now] = [last, total()];
      last = now;
      await sleep(500);
      return written.size === sockets.length && now === was && now === total();
    });
  };
  await stopReading(first);
  const { heap: heapBefore } = await sidecar.inside();
  const before = await sidecar.memory();
  await stopReading(clients);
  const paused = total();
  await sleep(1000);
  const sentOn = total() - paused;
  t.diagnostic(
    `bytes that left the upstream for each client, sockets of the kernel included: ${Math.round(total() / sockets.length / 1024)} KiB`,
  );
  const { heap } = await sidecar.inside();
  const after = await sidecar.memory();
  for (const socket of sockets) socket.destroy();
  await until('all are let go', () => [...written.keys()].every((response) => response.destroyed));
  const mebibytes = (megabytes: number): number => (megabytes * 1e6) / clients / 1024 / 1024;
  hold(t, [
    {
      what: 'slow client: objects and buffers held for one',
      value: mebibytes(heap - heapBefore),
      limit: 1,
      unit: 'MiB',
    },
    { what: 'slow client: memory of the process for one', value: mebibytes(after - before), limit: 1, unit: 'MiB' },
    { what: 'slow client: bytes the upstream can send once paused', value: sentOn, limit: 0, unit: '' },
  ]);
});

test('a thousand slow heads and bodies leave the others alone', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream });
  const caller = startCaller(t);
  await caller.carryOut({ port: sidecar.port, ms: 2000 });
  let ended = 0;
  const ratio = async (): Promise<number> => {
    const usual = await p99(caller, sidecar.port);
    const slow = await Promise.all(Array.from({ length: 1000 }, () => open(sidecar.port)));
    const head = 'POST /api/chat HTTP/1.1\r\nHost: localhost\r\n';
    for (const [index, socket] of slow.entries()) {
      // Else its end would never be noticed here.
      socket.resume();
      socket.write(index % 2 === 0 ? head : `${head}Content-Length: 1000\r\n\r\n{`);
    }
    // Each sends a byte twice a second, as an attacker who wants to stay would.
    let turn = 0;
    const drip = setInterval(() => {
      for (let i = 0; i < 40; i += 1, turn += 1) {
        const index = turn % slow.length;
        const socket = slow[index];
        if (socket?.writable === true) socket.write(index % 2 === 0 ? 'x' : ' ');
      }
    }, 20);
    await sleep(300);
    const meanwhile = await p99(caller, sidecar.port);
    clearInterval(drip);
    if (ended === 0) {
      const heads = slow.filter((_, index) => index % 2 === 0);
      await until('slow heads are ended after timeouts.headers', () => heads.every((one) => one.destroyed), 20_000);
      ended = heads.length;
    }
    for (const socket of slow) socket.destroy();
    t.diagnostic(`p99 of others: ${usual.toFixed(1)} ms as usual, ${meanwhile.toFixed(1)} ms meanwhile`);
    return meanwhile / usual;
  };
  const times = await middleOf(5, ratio);
  hold(t, [
    { what: '1,000 slow heads and bodies: p99 of others, of the usual', value: times, limit: 2, unit: 'times' },
    {
      what: '1,000 slow heads and bodies: heads that stay beyond timeouts.headers',
      value: 500 - ended,
      limit: 0,
      unit: '',
    },
  ]);
});

async function p99(caller: Caller, port: number): Promise<number> {
  const { times, statuses } = await caller.carryOut({ port, ms: 2000, pauseMs: 2 });
  assert.deepEqual(Object.keys(statuses), ['200']);
  return quantile(times, 0.99);
}

test('two thousand idle streams wait, cost little, and end whole', async (t) => {
  const streams = 2000;
  const waiting = new Set<ServerResponse>();
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    waiting.add(response);
  });
  const sidecar = await startHard(t, { upstream, shell: 'ulimit -n 10000' });
  const other = await startHard(t, { upstream });
  const caller = startCaller(t);
  for (const { port } of [sidecar, other]) await caller.carryOut({ port, ms: 2000 });
  const ended: Promise<boolean>[] = [];
  const clients: Socket[] = [];
  for (let begun = 0; begun < streams; begun += 100) {
    const some = await Promise.all(Array.from({ length: 100 }, () => open(sidecar.port)));
    for (const socket of some) {
      socket.write(rawChat('tiny', true));
      ended.push(endOf(socket));
      clients.push(socket);
    }
    // Whatever waited for another's end would wait for ever.
    await until('they stream', () => waiting.size === begun + 100, 20_000);
  }
  await sleep(1000);
  const memory = await sidecar.memory();
  const times = await middleOf(5, async () => {
    const [meanwhile, usual] = [await p99(caller, sidecar.port), await p99(caller, other.port)];
    t.diagnostic(`p99 of others: ${meanwhile.toFixed(1)} ms, ${usual.toFixed(1)} ms of a sidecar without the streams`);
    return meanwhile / usual;
  });
  for (const response of waiting) response.end('{"done":true,"prompt_eval_count":1,"eval_count":1}\n');
  const cut = (await Promise.all(ended)).filter((whole) => !whole).length;
  for (const socket of clients) socket.destroy();
  hold(t, [
    { what: '2,000 idle streams: memory of the process', value: memory, limit: 300, unit: 'MB' },
    { what: '2,000 idle streams: p99 of others, of the usual', value: times, limit: 2, unit: 'times' },
    { what: '2,000 idle streams: cut', value: cut, limit: 0, unit: '' },
  ]);
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
  let reached = 0;
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] !== undefined) reached += 1;
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    held.add(response);
    // The places are taken by streams that are at work.
    const ticks = setInterval(() => response.write(frame), 50);
    response.once('close', () => clearInterval(ticks)).once('finish', () => clearInterval(ticks));
  });
  const limit = 64;
  const sidecar = await startHard(t, { upstream, config: { limits: { in_flight: limit } } });
  const caller = startCaller(t);
  await carryOut({ port: sidecar.port, ms: 1000 });
  const streams = await Promise.all(Array.from({ length: limit }, () => open(sidecar.port)));
  for (const socket of streams) socket.resume().write(rawChat('tiny', true));
  await until('the limit is reached', () => held.size === limit);
  reached = 0;
  const refusalMs = 50;
  const refusal = await bestOf(t, refusalMs, async () => {
    // As many again want in, and ask again as soon as they were refused.
    const { times, statuses } = await caller.carryOut({ port: sidecar.port, count: 1000, atOnce: 16 });
    assert.deepEqual(statuses, { 503: 1000 });
    return quantile(times, 0.99);
  });
  const passed = reached;
  for (const response of held) response.end('{"done":true}\n');
  await until('there is room again', async () => (await ask(sidecar.port)) === 200);
  for (const socket of streams) socket.destroy();
  hold(t, [
    { what: 'saturation: p99 of the time to 503', value: refusal, limit: refusalMs, unit: 'ms' },
    { what: 'saturation: requests over the limit that reached the upstream', value: passed, limit: 0, unit: '' },
  ]);
});

test('the liveness probe answers under full load', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream });
  // How late a machine is by itself: a server that has nothing to do, asked by its own process at the same time.
  const [probe, control, idlePort] = [startCaller(t), startCaller(t), await startIdleServer(t)];
  const [probes, healthMs] = [200, 50];
  // Much to read and nothing to wait for: little of the two cores is needed to keep the sidecar from ever being idle.
  const messages = Array.from({ length: 500 }, (_, index) => ({ role: 'user', content: `this is message ${index}` }));
  const body = JSON.stringify({ model: 'forbidden', messages });
  const busySeconds = async (): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${sidecar.opsPort}/metrics`)).text();
    return Number(/^opallama_event_loop_busy_seconds_total (\S+)/m.exec(text)?.[1]);
  };
  await carryOut({ port: sidecar.port, ms: 1000, atOnce: 64, body });
  const late = (atOnce: number) => async (): Promise<number> => {
    const load = carryOut({ port: sidecar.port, ms: 5000, atOnce, body });
    await sleep(500);
    const [before, beganMs] = [await busySeconds(), performance.now()];
    const health = { port: sidecar.opsPort, get: '/healthz', count: probes, atOnce: 1, pauseMs: 15, unkept: true };
    const [{ times, statuses }, idle] = await Promise.all([
      probe.carryOut(health),
      control.carryOut({ ...health, port: idlePort }),
    ]);
    const busy = (await busySeconds()) - before;
    const share = busy / ((performance.now() - beganMs) / 1000);
    const answered = await load;
    assert.deepEqual([statuses, Object.keys(answered.statuses)], [{ 200: probes }, ['403']]);
    const [p50, p99, idleP99] = [quantile(times, 0.5), quantile(times, 0.99), quantile(idle.times, 0.99)];
    t.diagnostic(
      `${atOnce} at once: event loop busy for ${(share * 100).toFixed(0)} %, p50 of a request ${show(quantile(answered.times, 0.5))} ms; /healthz p50 ${show(p50)}, p99 ${show(p99)} ms, an idle server p99 ${show(idleP99)} ms`,
    );
    return share > 0.7 ? p99 - idleP99 : Number.POSITIVE_INFINITY;
  };
  const few = await bestOf(t, healthMs, late(64));
  const many = await bestOf(t, healthMs, late(512));
  hold(t, [
    { what: 'full load, 64 at once: p99 of /healthz beyond an idle server', value: few, limit: healthMs, unit: 'ms' },
    { what: 'full load, 512 at once: p99 of /healthz beyond an idle server', value: many, limit: healthMs, unit: 'ms' },
  ]);
});

test('a body over the limit is refused before it is read', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream, config: { limits: { body: '64KiB' } }, tells: true });
  await carryOut({ port: sidecar.port, ms: 1000 });
  const { heap: before } = await sidecar.inside();
  const statuses = await Promise.all(
    Array.from({ length: 50 }, () =>
      sidecar.fetch('/api/chat', { method: 'POST', body: chatOf('x'.repeat(1 << 20)) }).then(
        ({ status }) => status,
        () => 413,
      ),
    ),
  );
  assert.deepEqual(new Set(statuses), new Set([413]));
  // What they still send is read and thrown away meanwhile.
  await sleep(1500);
  const held = Math.max(0, (await sidecar.inside()).heap - before);
  hold(t, [{ what: 'fifty bodies of 1 MiB over the limit: held behind them', value: held, limit: 10, unit: 'MB' }]);
});
