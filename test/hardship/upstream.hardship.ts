/** An upstream that is away, silent, or dies; and a client that leaves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { findFreePort } from '../support/free-port.ts';
import { ask, carryOut, chatOf, startCaller } from './ask.ts';
import { bestOf, hold } from './figures.ts';
import { answerWhole, beginStream, open, rawChat, startHard, startScripted } from './harness.ts';

const tries = 20;

test('an upstream that refuses connections is told of at once', async (t) => {
  const sidecar = await startHard(t, { upstream: `http://127.0.0.1:${await findFreePort()}` });
  const caller = startCaller(t);
  const load = { port: sidecar.port, count: tries, atOnce: 1 };
  await caller.carryOut(load);
  const longest = await bestOf(t, 50, async () => {
    const { times, statuses } = await caller.carryOut(load);
    assert.deepEqual(statuses, { 502: tries });
    return times.at(-1) ?? Number.NaN;
  });
  hold(t, [{ what: 'upstream refuses: longest wait for 502', value: longest, limit: 50, unit: 'ms' }]);
});

test('an upstream that resets or hangs costs its own request, in time, and no other', async (t) => {
  const firstByteMs = 500;
  // undici looks at the time of its requests each half second.
  const lateMs = 1000;
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] === 'resets') response.socket?.resetAndDestroy();
    else if (body['model'] !== 'hangs') answerWhole(response);
  });
  const sidecar = await startHard(t, { upstream, config: { timeouts: { first_byte: `${firstByteMs}ms` } } });
  const caller = startCaller(t);
  const longest = (model: string, status: number) => async (): Promise<number> => {
    const { times, statuses } = await caller.carryOut({ port: sidecar.port, model, count: tries, atOnce: tries });
    assert.deepEqual(statuses, { [status]: tries });
    return times.at(-1) ?? Number.NaN;
  };
  await longest('resets', 502)();
  const reset = await bestOf(t, 200, longest('resets', 502));
  // Others ask while it hangs.
  const meanwhile = carryOut({ port: sidecar.port, ms: 2000, atOnce: 1, pauseMs: 20 });
  const hung = await bestOf(t, firstByteMs + lateMs, longest('hangs', 504));
  assert.deepEqual(Object.keys((await meanwhile).statuses), ['200']);
  hold(t, [
    { what: 'upstream resets: longest wait for 502', value: reset, limit: 200, unit: 'ms' },
    {
      what: 'upstream hangs: longest wait for 504 beyond timeouts.first_byte',
      value: hung - firstByteMs,
      limit: lateMs,
      unit: 'ms',
    },
  ]);
});

test('an upstream that dies or falls silent midway ends its stream in time, and not as if it were whole', async (t) => {
  const livesMs = 50;
  const idleMs = 500;
  const died = new WeakMap<object, number>();
  let last: object = {};
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    last = response;
    beginStream(response);
    if (body['model'] === 'silent') died.set(response, performance.now());
    else
      setTimeout(() => {
        died.set(response, performance.now());
        response.socket?.destroy();
      }, livesMs);
  });
  const sidecar = await startHard(t, { upstream, config: { timeouts: { idle: `${idleMs}ms` } } });
  const end = async (model: string): Promise<number> => {
    const client = await open(sidecar.port);
    let text = '';
    client.on('data', (bytes) => {
      text += bytes.toString();
    });
    client.write(rawChat(model, true));
    await once(client, 'close');
    const endedMs = performance.now();
    assert.match(text, /"done":false/);
    assert.match(text, /"error":/, 'the client is told');
    assert.doesNotMatch(text, /\r\n0\r\n\r\n/, 'by no clean end');
    return endedMs - (died.get(last) ?? Number.NaN);
  };
  const longest = (model: string, times: number) => async (): Promise<number> => {
    const all: number[] = [];
    for (let i = 0; i < times; i += 1) all.push(await end(model));
    return Math.max(...all);
  };
  await end('dies');
  const dead = await bestOf(t, 100, longest('dies', tries));
  const silent = await bestOf(t, idleMs + 100 + idleMs / 10, longest('silent', 2));
  assert.equal(await ask(sidecar.port), 200);
  hold(t, [
    { what: 'upstream dies midway: longest time to the end of its stream', value: dead, limit: 100, unit: 'ms' },
    {
      what: 'upstream falls silent midway: end of its stream beyond timeouts.idle',
      value: silent - idleMs,
      // A tenth of the timeout is how finely a pause is told apart.
      limit: 100 + idleMs / 10,
      unit: 'ms',
    },
  ]);
});

test('a client that leaves lets go of the model', async (t) => {
  let onAsked: ((response: ServerResponse) => void) | undefined;
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] !== 'left') return answerWhole(response);
    if (body['stream'] === true) beginStream(response);
    onAsked?.(response);
  });
  const sidecar = await startHard(t, { upstream });
  const caller = startCaller(t);
  /** Before the first byte and in the middle of a stream, with a whole close and with half a one. */
  const leave = async (streamed: boolean, half: boolean): Promise<number> => {
    const client = await open(sidecar.port);
    const asked = new Promise<ServerResponse>((resolve) => {
      onAsked = resolve;
    });
    client.write(rawChat('left', streamed));
    const response = await asked;
    if (streamed) await once(client, 'data');
    await sleep(10);
    const gone = once(response, 'close').then(() => performance.now());
    const leftMs = performance.now();
    if (half) client.end();
    else client.destroy();
    const goneMs = await gone;
    client.destroy();
    return goneMs - leftMs;
  };
  const longest = async (): Promise<number> => {
    const all: number[] = [];
    for (let i = 0; i < 2 * tries; i += 1) all.push(await leave(i % 2 === 0, i % 4 < 2));
    return Math.max(...all);
  };
  await longest();
  const quiet = await bestOf(t, 100, longest);
  const loaded = await bestOf(t, 100, async () => {
    const load = caller.carryOut({ port: sidecar.port, ms: 2000, atOnce: 16 });
    await sleep(300);
    const ms = await longest();
    assert.deepEqual(Object.keys((await load).statuses), ['200']);
    return ms;
  });
  hold(t, [
    {
      what: 'client leaves: longest time until its upstream connection is closed',
      value: quiet,
      limit: 100,
      unit: 'ms',
    },
    { what: 'client leaves at full load: the same', value: loaded, limit: 100, unit: 'ms' },
  ]);
});

test('a client that goes on reading slowly gets everything', async (t) => {
  const size = 8 * 1024 * 1024;
  const upstream = await startScripted(t, (response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' }).end('x'.repeat(size - 1).concat('\n'));
  });
  const sidecar = await startHard(t, { upstream });
  const response = await sidecar.fetch('/api/chat', { method: 'POST', body: chatOf('tiny', true) });
  let got = 0;
  for await (const chunk of response.body ?? []) {
    got += chunk.length;
    if (got < size / 2) await sleep(5);
  }
  hold(t, [{ what: 'client reads slowly: bytes of 8 MiB that it did not get', value: size - got, limit: 0, unit: '' }]);
});
