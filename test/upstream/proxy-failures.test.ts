/** Each way in which Ollama can fail has its own code, and lets go of what it held. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { atBest, undisturbed } from '../support/at-best.ts';
import { portOf } from '../support/port-of.ts';
import { bodyOf, createTestUpstream, eventually, failureOf, send, startStandIn } from './stand-in.ts';

test('an Ollama that is not there is named, with the question that helps', async (t) => {
  // A port that was just free.
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  const failure = await failureOf(send(createTestUpstream(t, `http://127.0.0.1:${port}/some/path`)));
  assert.deepEqual(
    [failure.code, failure.status, failure.message],
    ['upstream_unreachable', 502, `Cannot reach Ollama at http://127.0.0.1:${port}. Is it running?`],
  );
});

test('a name that does not resolve is unreachable as well', async (t) => {
  const failure = await failureOf(send(createTestUpstream(t, 'http://nowhere.invalid:11434')));
  assert.equal(failure.message, 'Cannot reach Ollama at http://nowhere.invalid:11434. Is it running?');
});

test('a connection that does not come about is given up after timeouts.connect', async (t) => {
  // An address for documentation (RFC 5737): nobody answers there, or the network says so at once.
  const upstream = createTestUpstream(t, 'http://192.0.2.1:11434', { connect: 150, firstByte: 30_000 });
  const started = performance.now();
  const failure = await failureOf(send(upstream));
  assert.equal(failure.code, 'upstream_unreachable');
  assert.equal(failure.message, 'Cannot reach Ollama at http://192.0.2.1:11434. Is it running?');
  // Neither the system's own patience, which is minutes, nor that with a first byte.
  assert.ok(performance.now() - started < 10_000);
});

test('an Ollama that accepts and is silent is given up after timeouts.first_byte, with 504', async (t) => {
  const standIn = await startStandIn(t, () => undefined);
  const upstream = createTestUpstream(t, standIn.url, { connect: 30_000, firstByte: 200 });
  const started = performance.now();
  const failure = await failureOf(send(upstream));
  const took = performance.now() - started;
  assert.deepEqual([failure.code, failure.status], ['upstream_timeout', 504]);
  // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
  assert.ok(took > 100 && took < 10_000, `${took} ms`);
  await eventually('its socket is closed', () =>
    standIn.sockets.every((socket) => socket.destroyed || socket.readableEnded),
  );
});

test('the time to the first byte is counted on a connection that is used again, too', async (t) => {
  let requests = 0;
  const standIn = await startStandIn(t, (socket) => {
    requests += 1;
    if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  });
  const upstream = createTestUpstream(t, standIn.url, { firstByte: 150 });
  await bodyOf(await send(upstream).answer);
  assert.equal((await failureOf(send(upstream))).code, 'upstream_timeout');
  assert.equal(standIn.sockets.length, 1);
});

test('once the head of an answer is there no timer of the way to it cuts the stream', async (t) => {
  const standIn = await startStandIn(t, async (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await sleep(300);
    socket.write('1\r\na\r\n0\r\n\r\n');
  });
  const upstream = createTestUpstream(t, standIn.url, { connect: 100, firstByte: 100 });
  await undisturbed(30, async () => assert.equal(await bodyOf(await send(upstream).answer), 'a'));
});

test('without a limit nothing is given up', async (t) => {
  const standIn = await startStandIn(t, (socket) => {
    setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), 200);
  });
  const upstream = createTestUpstream(t, standIn.url, { connect: 0, firstByte: 0 });
  assert.equal((await send(upstream).answer).status, 200);
});

for (const [title, close] of [
  ['resets the connection', (socket: net.Socket) => socket.resetAndDestroy()],
  ['closes the connection', (socket: net.Socket) => socket.end()],
  ['closes in the middle of the head', (socket: net.Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-')],
] as const) {
  test(`an Ollama that ${title} before it answered is upstream_reset`, async (t) => {
    const standIn = await startStandIn(t, close);
    const failure = await failureOf(send(createTestUpstream(t, standIn.url)));
    assert.deepEqual([failure.code, failure.status], ['upstream_reset', 502]);
  });
}

for (const answer of [
  'nonsense\r\n\r\n',
  'HTTP/1.1 abc OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nBad Header\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX: a\u0000b\r\n\r\n',
  `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
  // Status codes that no answer can be given with.
  'HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n',
  // Nobody asked whether to go on.
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
]) {
  test(`the answer ${JSON.stringify(answer.slice(0, 80))} is upstream_invalid`, async (t) => {
    const standIn = await startStandIn(t, (socket) => socket.write(answer));
    const failure = await failureOf(send(createTestUpstream(t, standIn.url)));
    assert.deepEqual([failure.code, failure.status], ['upstream_invalid', 502]);
    assert.doesNotMatch(failure.message, /nonsense|Bad Header|xxx/);
    await eventually('its socket is closed', () =>
      standIn.sockets.every((socket) => socket.destroyed || socket.readableEnded),
    );
  });
}

test('who abandons an exchange before its answer closes the upstream, and hears of it', async (t) => {
  const standIn = await startStandIn(t, () => undefined);
  const upstream = createTestUpstream(t, standIn.url);
  let rounds = 0;
  const tookMs = await atBest(100, async () => {
    const exchange = send(upstream);
    rounds += 1;
    await eventually('the request is there', () => (standIn.received[rounds - 1] ?? '') !== '');
    const closed = once(standIn.sockets.at(-1) ?? new net.Socket(), 'close');
    const started = performance.now();
    exchange.abandon();
    exchange.abandon();
    await closed;
    const closedAfterMs = performance.now() - started;
    assert.equal((await failureOf(exchange)).code, 'client_closed_request');
    return closedAfterMs;
  });
  assert.ok(tookMs < 100, `${tookMs} ms`);
});

test('an exchange that is abandoned at once ends as well, and nothing is asked of the upstream', async (t) => {
  const standIn = await startStandIn(t, () => undefined);
  const exchange = send(createTestUpstream(t, standIn.url));
  exchange.abandon();
  assert.equal((await failureOf(exchange)).code, 'client_closed_request');
  await sleep(100);
  assert.equal(standIn.received.join(''), '');
  await eventually('no socket is left', () =>
    standIn.sockets.every((socket) => socket.destroyed || socket.readableEnded),
  );
});

test('who abandons a stream midway closes the upstream at once', async (t) => {
  const standIn = await startStandIn(t, (socket) =>
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'),
  );
  const upstream = createTestUpstream(t, standIn.url);
  const tookMs = await atBest(100, async () => {
    const exchange = send(upstream);
    const answer = await exchange.answer;
    await new Promise((resolve) => void bodyOf(answer, resolve).catch(() => undefined));
    const closed = once(standIn.sockets.at(-1) ?? new net.Socket(), 'close');
    const started = performance.now();
    exchange.abandon();
    await closed;
    return performance.now() - started;
  });
  assert.ok(tookMs < 100, `${tookMs} ms`);
});
