/**
 * `npm run test:soak`: everything at once for an hour (SOAK_MINUTES), by hand. Memory, descriptors and timers are back where
 * they were when it is over.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import jwt from 'jsonwebtoken';

import {
  answerWhole,
  askFor,
  beginStream,
  type Call,
  figure,
  frame,
  open,
  rawChat,
  startHard,
  startScripted,
  until,
} from './harness.ts';

const secret = 'a-secret-of-the-hardship-tests-that-is-long-enough';
const sign = (subject: string): string =>
  jwt.sign({ sub: subject, roles: ['guest'] }, secret, {
    issuer: 'https://id.example',
    audience: 'opallama',
    expiresIn: '10m',
  });

const minutes = Number(process.env['SOAK_MINUTES'] ?? 0);

test('an hour of everything leaves nothing behind', {
  skip: minutes === 0 && 'it lasts an hour: npm run test:soak',
  // With the sixth of it that warms up.
  timeout: (minutes * 1.2 + 5) * 60_000,
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
  const identity = {
    anonymous: { roles: ['guest'] },
    jwt: [{ algorithm: 'HS256', secret_env: 'HARD_SECRET', issuer: 'https://id.example', audience: 'opallama' }],
  };
  const config = { audit: { stdout: false }, identity };
  const sidecar = await startHard(t, {
    upstream,
    config,
    env: { HARD_SECRET: secret, NODE_OPTIONS: `--import ${new URL('inside.ts', import.meta.url)}` },
  });
  let told = 0;
  const inside = async (): Promise<{ readonly heap: number; readonly timers: number }> => {
    const lines = (): string[] => sidecar.stderr().match(/^inside .*$/gm) ?? [];
    sidecar.signal('SIGUSR2');
    await until('it tells of itself', () => lines().length > told);
    told = lines().length;
    return JSON.parse((lines().at(-1) ?? '').slice('inside '.length));
  };
  let asked = 0;
  // What is remembered of callers and models has to be bounded: a new model for each request, a new token for each tenth.
  const fresh = (): Call => {
    asked += 1;
    const headers = asked % 10 === 0 ? { authorization: `Bearer ${sign(`caller-${asked}`)}` } : {};
    return { model: `model-${asked}`, headers };
  };
  const round = async (): Promise<void> => {
    const load = askFor(sidecar.port, 4000, 4, 20, fresh);
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
    ...(await inside()),
  });
  const tell = async (): Promise<void> => {
    const { memory, descriptors, timers, heap } = await state();
    const at = ((performance.now() - beganMs) / 60_000).toFixed(1);
    // Not a diagnostic: those come when the test is over.
    console.log(
      `${at} min, ${asked} requests: ${memory.toFixed(0)} MiB, heap ${heap.toFixed(0)} MiB, ${descriptors} descriptors, ${timers} timers`,
    );
  };
  const beganMs = performance.now();
  // What is made once: code, pools, the young generation at its size.
  const warmMs = performance.now() + (minutes * 60_000) / 6;
  while (performance.now() < warmMs) await round();
  await sleep(3000);
  const before = await state();
  const untilMs = performance.now() + minutes * 60_000;
  let rounds = 0;
  let toldMs = 0;
  for (; performance.now() < untilMs; rounds += 1) {
    await round();
    if (performance.now() - toldMs < 60_000) continue;
    toldMs = performance.now();
    await tell();
  }
  await until(
    'descriptors are given back',
    async () => (await sidecar.descriptors()) <= before.descriptors + 4,
    30_000,
  );
  await sleep(5000);
  const after = await state();
  t.diagnostic(`${rounds} rounds; before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  figure(t, 'memory more than at the start', after.memory - before.memory, Math.max(20, before.memory * 0.1), 'MiB');
  figure(t, 'heap more than at the start, garbage collected', after.heap - before.heap, 8, 'MiB');
  figure(t, 'descriptors more than at the start', after.descriptors - before.descriptors, 4, '');
  figure(t, 'timers more than at the start', after.timers - before.timers, 4, '');
  assert.ok(rounds > 0);
});
