/** Many streams at once: how late a frame is, against the bare proxy, and what they take. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { startPeer } from '../../bench/peers/process.ts';
import { hold, quantile } from './figures.ts';
import { open, startHard } from './harness.ts';

/** How much later than through the bare proxy a frame may be, 99 times of 100, ms. */
const mostLaterMs = 5;
const measuredMs = 5000;
/** The machine may be busy with other things in some of them: the best one counts. */
const mostRounds = 8;

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
  const [there, here]: [number[], number[]] = [[], []];
  let [memory, beyond] = [0, Number.POSITIVE_INFINITY];
  const weigh = async (): Promise<void> => {
    memory = Math.max(memory, await sidecar.memory());
  };
  for (let round = 0; round < 2 || (round < mostRounds && !(beyond <= mostLaterMs)); round += 1) {
    there.push(quantile(await delays(bare.port, load), 0.99));
    here.push(quantile(await delays(sidecar.port, load, weigh), 0.99));
    beyond = Math.min(...here) - Math.min(...there);
  }
  const shown = (all: readonly number[]): string => all.map((one) => one.toFixed(1)).join(', ');
  t.diagnostic(`p99 of the delay of a frame in each round, ms: bare ${shown(there)}; sidecar ${shown(here)}`);
  const name = `${load.streams.toLocaleString('en')} streams of ${load.perSecond} frames/s`;
  hold(t, [
    { what: `${name}: p99 of a frame beyond the bare proxy's`, value: beyond, limit: mostLaterMs, unit: 'ms' },
    { what: `${name}: memory of the process`, value: memory, limit: 300, unit: 'MB' },
  ]);
}

async function startPacer(t: TestContext): Promise<string> {
  const child = fork(fileURLToPath(new URL('pacer.ts', import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill());
  const [port] = await once(child, 'message');
  return `http://127.0.0.1:${port}`;
}

/** @returns how long each frame was on its way, ms, ascending; those of the first second left out; infinite where too many did not come */
async function delays(
  port: number,
  load: { readonly streams: number; readonly perSecond: number },
  atEnd?: () => Promise<void>,
): Promise<number[]> {
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
  await atEnd?.();
  for (const socket of sockets) socket.destroy();
  await sleep(500);
  const expected = (streams * perSecond * measuredMs) / 1000;
  // Where frames did not even come, those that did say nothing.
  return times.length > expected * 0.9 ? times.toSorted((a, b) => a - b) : [Number.POSITIVE_INFINITY];
}
