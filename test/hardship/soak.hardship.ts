/**
 * `npm run test:soak`: everything at once for an hour (SOAK_MINUTES), by hand. Memory, descriptors and timers are back where
 * they were when it is over.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import jwt from 'jsonwebtoken';

import { type Call, carryOut } from './ask.ts';
import { hold } from './figures.ts';
import { answerWhole, beginStream, frame, open, rawChat, startHard, startScripted, until } from './harness.ts';

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
    env: { HARD_SECRET: secret },
    tells: true,
  });
  let asked = 0;
  // What is remembered of callers and models has to be bounded: a new model for each request, a new token for each tenth.
  const fresh = (): Call => {
    asked += 1;
    const headers = asked % 10 === 0 ? { authorization: `Bearer ${sign(`caller-${asked}`)}` } : {};
    return { model: `model-${asked}`, headers };
  };
  const round = async (): Promise<void> => {
    const load = carryOut({ port: sidecar.port, ms: 4000, pauseMs: 20 }, fresh);
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
    assert.deepEqual(Object.keys((await load).statuses), ['200']);
    await sleep(1500);
  };
  const state = async () => ({
    memory: await sidecar.memory(),
    descriptors: await sidecar.descriptors(),
    ...(await sidecar.inside()),
  });
  const tell = async (): Promise<void> => {
    const { memory, descriptors, timers, heap } = await state();
    const at = ((performance.now() - beganMs) / 60_000).toFixed(1);
    // Not a diagnostic: those come when the test is over.
    console.log(
      `${at} min, ${asked} requests: ${memory.toFixed(0)} MB, heap ${heap.toFixed(0)} MB, ${descriptors} descriptors, ${timers} timers`,
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
  const more = (what: 'memory' | 'heap' | 'descriptors' | 'timers'): number => after[what] - before[what];
  hold(t, [
    {
      what: 'memory more than at the start',
      value: more('memory'),
      limit: Math.max(20, before.memory * 0.1),
      unit: 'MB',
    },
    { what: 'heap more than at the start, garbage collected', value: more('heap'), limit: 8, unit: 'MB' },
    { what: 'descriptors more than at the start', value: more('descriptors'), limit: 4, unit: '' },
    { what: 'timers more than at the start', value: more('timers'), limit: 4, unit: '' },
  ]);
  assert.ok(rounds > 0);
});
