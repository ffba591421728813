/**
 * `npm run test:soak`: everything at once for an hour (SOAK_MINUTES), by hand. Memory, descriptors and timers are back where
 * they were when it is over.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  answerWhole,
  askFor,
  beginStream,
  figure,
  frame,
  open,
  rawChat,
  startHard,
  startScripted,
  until,
} from './harness.ts';

const minutes = Number(process.env['SOAK_MINUTES'] ?? 0);

test('an hour of everything leaves nothing behind', {
  skip: minutes === 0 && 'it lasts an hour: npm run test:soak',
  timeout: (minutes + 5) * 60_000,
}, async (t) => {
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] === 'resets') response.socket?.resetAndDestroy();
    else if (body['stream'] !== true) answerWhole(response);
    else {
      beginStream(response);
      const ticks = setInterval(() => response.write(frame), 50);
      response.once('close', () => clearInterval(ticks));
      setTimeout(() => response.end('{"done":true,"prompt_eval_count":1,"eval_count":1}\n'), 1000);
    }
  });
  const sidecar = await startHard(t, { upstream, config: { audit: { stdout: false } } });
  const timers = async (): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${sidecar.opsPort}/metrics`)).text();
    return Number(/^nodejs_active_resources\{type="Timeout"\} (\d+)/m.exec(text)?.[1] ?? 0);
  };
  const round = async (): Promise<void> => {
    const load = askFor(sidecar.port, 4000, 4, 5);
    for (let i = 0; i < 40; i += 1) {
      const socket = await open(sidecar.port);
      socket.resume();
      // Streams that end, streams that are left, failures, denials, heads that never end.
      const kind = i % 5;
      if (kind === 4) socket.write('POST /api/chat HTTP/1.1\r\nHost: ');
      else socket.write(rawChat(kind === 2 ? 'resets' : kind === 3 ? 'forbidden' : 'tiny', kind < 2));
      setTimeout(() => socket.destroy(), kind === 0 ? 2000 : 300);
      await sleep(50);
    }
    await load;
    await sleep(1500);
  };
  const state = async () => ({
    memory: await sidecar.memory(),
    descriptors: await sidecar.descriptors(),
    timers: await timers(),
  });
  // What is made once: code, pools, the young generation at its size.
  const warmMs = performance.now() + (minutes * 60_000) / 6;
  while (performance.now() < warmMs) await round();
  await sleep(3000);
  const before = await state();
  const untilMs = performance.now() + minutes * 60_000;
  let rounds = 0;
  for (; performance.now() < untilMs; rounds += 1) await round();
  await until(
    'descriptors are given back',
    async () => (await sidecar.descriptors()) <= before.descriptors + 4,
    30_000,
  );
  await sleep(5000);
  const after = await state();
  t.diagnostic(`${rounds} rounds; before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  figure(t, 'memory more than at the start', after.memory - before.memory, Math.max(20, before.memory * 0.1), 'MiB');
  figure(t, 'descriptors more than at the start', after.descriptors - before.descriptors, 4, '');
  figure(t, 'timers more than at the start', after.timers - before.timers, 4, '');
  assert.ok(rounds > 0);
});
