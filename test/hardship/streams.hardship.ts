/** Many streams at once: how late a frame is, against the bare proxy, and what they take. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { startPeer } from '../../bench/peers/process.ts';
import { figure, open, quantile, startHard } from './harness.ts';

/** How much later than through the bare proxy a frame may be, 99 times of 100, ms. */
const mostLaterMs = 5;
const measuredMs = 8000;

test('500 streams of 20 frames a second', async (t) => {
  await compare(t, { streams: 500, perSecond: 20 });
});

test('2,000 streams of 3 frames a second', async (t) => {
  await compare(t, { streams: 2000, perSecond: 3 });
});

async function compare(t: TestContext, load: { readonly streams: number; readonly perSecond: number }): Promise<void> {
  const upstream = await startPacer(t);
  const bare = await startPeer({ script: 'bare.ts', args: [upstream, 'unlimited'] });
  t.after(() => bare.stop());
  const sidecar = await startHard(t, { upstream, shell: 'ulimit -n 10000' });
  // Twice in turn, because the machine may be busy with other things for a while.
  const [early, first] = [await delays(bare.port, load), await delays(sidecar.port, load)];
  const [late, second] = [await delays(bare.port, load), await delays(sidecar.port, load)];
  const memory = await sidecar.memory();
  const p99 = (...all: readonly number[][]): number => Math.min(...all.map((one) => quantile(one, 0.99)));
  const [there, here] = [p99(early, late), p99(first, second)];
  t.diagnostic(
    `delay of a frame, p50 and p99, ms: bare ${quantile(early, 0.5).toFixed(2)} and ${there.toFixed(1)}, sidecar ${quantile(first, 0.5).toFixed(2)} and ${here.toFixed(1)}; ${first.length} frames`,
  );
  figure(t, 'p99 of a frame beyond the bare proxy', here - there, mostLaterMs, 'ms');
  figure(t, 'memory', memory, 300, 'MiB');
}

async function startPacer(t: TestContext): Promise<string> {
  const child = fork(fileURLToPath(new URL('pacer.ts', import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill());
  const [port] = await once(child, 'message');
  return `http://127.0.0.1:${port}`;
}

/** @returns how long each frame was on its way, ms, ascending; those of the first second left out */
async function delays(port: number, load: { readonly streams: number; readonly perSecond: number }): Promise<number[]> {
  const { streams, perSecond } = load;
  const count = Math.ceil(((measuredMs + 4000) / 1000) * perSecond);
  const body = JSON.stringify({
    model: 'tiny',
    messages: [],
    options: { num_predict: count, interval_ms: 1000 / perSecond },
  });
  const request = `POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const times: number[] = [];
  let measuring = false;
  const sockets = [];
  for (let begun = 0; begun < streams; begun += 50) {
    const some = await Promise.all(Array.from({ length: 50 }, () => open(port)));
    for (const socket of some) {
      socket.on('data', (bytes: Buffer) => {
        if (!measuring) return;
        const now = process.hrtime.bigint();
        for (const [, sent = '0'] of bytes.toString('latin1').matchAll(/"t":(\d+)/g))
          times.push(Number(now - BigInt(sent)) / 1e6);
      });
      socket.write(request);
      sockets.push(socket);
    }
  }
  await sleep(1000);
  measuring = true;
  await sleep(measuredMs);
  measuring = false;
  for (const socket of sockets) socket.destroy();
  await sleep(500);
  const expected = (streams * perSecond * measuredMs) / 1000;
  assert.ok(times.length > expected * 0.9, `${times.length} frames of ${expected}`);
  return times.toSorted((a, b) => a - b);
}
