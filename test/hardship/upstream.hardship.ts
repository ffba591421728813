/** An upstream that is away, silent, or dies; and a client that leaves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { findFreePort } from '../support/free-port.ts';
import { ask, beginStream, chatOf, figure, open, rawChat, startHard, startScripted } from './harness.ts';

const tries = 20;

async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const began = performance.now();
  const value = await work();
  return { ms: performance.now() - began, value };
}

test('an upstream that refuses connections is told of at once', async (t) => {
  const sidecar = await startHard(t, { upstream: `http://127.0.0.1:${await findFreePort()}` });
  const times: number[] = [];
  for (let i = 0; i < tries; i += 1) {
    const { ms, value } = await timed(() => ask(sidecar.port));
    assert.equal(value, 502);
    times.push(ms);
  }
  figure(t, 'longest wait for 502 when Ollama is not there', Math.max(...times.slice(1)), 50, 'ms');
});

test('an upstream that resets, hangs or dies midway costs its own request, in time, and no other', async (t) => {
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] === 'resets') response.socket?.resetAndDestroy();
    else if (body['model'] === 'dies') {
      beginStream(response);
      setTimeout(() => response.socket?.destroy(), 50);
    } else if (body['model'] !== 'hangs') response.end('{"done":true}');
  });
  const sidecar = await startHard(t, { upstream, config: { timeouts: { first_byte: '500ms' } } });
  for (let i = 0; i < tries; i += 1) await ask(sidecar.port, { model: 'resets' });
  const longest = async (model: string, status: number): Promise<number> => {
    const all = await Promise.all(Array.from({ length: tries }, () => timed(() => ask(sidecar.port, { model }))));
    assert.deepEqual(new Set(all.map(({ value }) => value)), new Set([status]));
    return Math.max(...all.map(({ ms }) => ms));
  };
  figure(t, 'longest wait for 502 when the connection is reset', await longest('resets', 502), 200, 'ms');
  figure(t, 'longest wait for 504 beyond timeouts.first_byte', (await longest('hangs', 504)) - 500, 200, 'ms');

  const cuts: number[] = [];
  for (let i = 0; i < tries; i += 1) {
    const client = await open(sidecar.port);
    let text = '';
    client.on('data', (bytes) => {
      text += bytes.toString();
    });
    const { ms } = await timed(async () => {
      client.write(rawChat('dies', true));
      await once(client, 'close');
    });
    assert.match(text, /"done":false/);
    assert.match(text, /"error":/, 'the client is told');
    assert.doesNotMatch(text, /\r\n0\r\n\r\n/, 'by no clean end');
    cuts.push(ms - 50);
  }
  figure(t, 'longest time from the death of an upstream to the end of its stream', Math.max(...cuts), 100, 'ms');
  assert.equal(await ask(sidecar.port), 200);
});

test('a client that leaves lets go of the model', async (t) => {
  let closed: ((atMs: number) => void) | undefined;
  let begun: (() => void) | undefined;
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] === true) beginStream(response);
    response.once('close', () => closed?.(performance.now()));
    begun?.();
  });
  const sidecar = await startHard(t, { upstream });
  const times: number[] = [];
  for (let i = 0; i < 2 * tries; i += 1) {
    // Before the first byte and in the middle of a stream.
    const streamed = i % 2 === 0;
    const client = await open(sidecar.port);
    const asked = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const gone = new Promise<number>((resolve) => {
      closed = resolve;
    });
    client.write(rawChat('tiny', streamed));
    await asked;
    if (streamed) await once(client, 'data');
    await sleep(10);
    const leftMs = performance.now();
    if (i % 4 < 2) client.destroy();
    else client.end();
    times.push((await gone) - leftMs);
    client.destroy();
  }
  figure(
    t,
    'longest time from a client that leaves to the end of its upstream connection',
    Math.max(...times),
    100,
    'ms',
  );
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
  assert.equal(got, size);
});
