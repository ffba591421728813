/** SIGTERM at load: no stream that ends within the grace is cut, and nothing is lost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ask } from './ask.ts';
import { hold } from './figures.ts';
import { answerWhole, beginStream, frame, open, rawChat, startHard, startScripted, until } from './harness.ts';

test('SIGTERM at load cuts no stream that is shorter than the grace, and every request has its line', async (t) => {
  const streams = 60;
  const longestMs = 3000;
  let begun = 0;
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    begun += 1;
    const ticks = setInterval(() => response.write(frame), 100);
    const lastsMs = (longestMs * begun) / streams;
    setTimeout(() => {
      clearInterval(ticks);
      response.end('{"done":true,"prompt_eval_count":1,"eval_count":1}\n');
    }, lastsMs);
  });
  const shutdown = { delay: '500ms', grace: '10s' };
  const sidecar = await startHard(t, { upstream, config: { shutdown } });
  const whole: Promise<boolean>[] = [];
  for (let i = 0; i < streams; i += 1) {
    const socket = await open(sidecar.port);
    let tail = '';
    socket.on('data', (bytes: Buffer) => {
      tail = (tail + bytes.toString('latin1')).slice(-200);
      if (tail.endsWith('0\r\n\r\n')) socket.destroy();
    });
    whole.push(once(socket, 'close').then(() => tail.includes('"done":true') && tail.endsWith('0\r\n\r\n')));
    socket.write(rawChat('tiny', true));
  }
  await until('all stream', () => begun === streams);
  const answered: number[] = [];
  let stopping = false;
  const others = (async () => {
    while (!stopping) {
      answered.push(await ask(sidecar.port).catch(() => 0));
      await sleep(20);
    }
  })();
  await sleep(200);
  const signalledMs = performance.now();
  sidecar.signal('SIGTERM');
  await sleep(300);
  const early = answered.length;
  assert.deepEqual(new Set(answered), new Set([200]), 'all are served until the delay is over');
  const code = await sidecar.ended();
  const leftMs = performance.now() - signalledMs;
  stopping = true;
  await others;
  assert.equal(code, 0);
  assert.ok(
    answered.slice(early).every((status) => [200, 503, 0].includes(status)),
    String(answered),
  );
  const cut = (await Promise.all(whole)).filter((one) => !one).length;
  const lines = sidecar
    .stdout()
    .trimEnd()
    .split('\n')
    .filter((line) => line.includes('"event":"audit"'));
  const outcomes = lines.filter((line) => line.includes('"stream":true') && line.includes('"outcome":"complete"'));
  assert.equal(outcomes.length, streams);
  const served = answered.filter((status) => status !== 0).length;
  hold(t, [
    { what: 'SIGTERM at load: streams of 60, shorter than the grace, that are cut', value: cut, limit: 0, unit: '' },
    {
      what: 'SIGTERM at load: answered requests without their audit line',
      value: Math.max(0, streams + served - lines.length),
      limit: 0,
      unit: '',
    },
    {
      what: 'SIGTERM at load: to the exit, the longest stream 3 s',
      value: leftMs,
      limit: longestMs + 1500,
      unit: 'ms',
    },
  ]);
});
