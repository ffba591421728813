/** A connection between two requests belongs to nobody: what becomes of it then must never become part of an answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { openConnections } from '../../src/upstream/connections.ts';
import { createUpstream } from '../../src/upstream/proxy.ts';
import { undisturbed } from '../support/at-best.ts';
import { bodyOf, createTestUpstream, eventually, failureOf, send, startStandIn } from './stand-in.ts';

/** What the kernel has for a socket of this process is read in the next turn of the event loop; a timer may come before it. */
async function readAll(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
const foreign = ok.replace('{}', '66');

test('an answer that nobody asked for is not the answer to the next request', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  const upstream = createTestUpstream(t, standIn.url);
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await bodyOf(await send(upstream).answer), '{}');
    const socket = standIn.sockets.at(-1);
    assert.ok(socket);
    await new Promise((written) => socket.write(foreign, written));
    await readAll();
  }
  assert.equal(standIn.sockets.length, 3, 'each connection was given up');
});

test('nor is one that came right behind another', async (t) => {
  const standIn = await startStandIn(t, (socket, received) => {
    socket.write(received.includes('poison') ? ok + foreign : ok);
  });
  const upstream = createTestUpstream(t, standIn.url);
  await send(upstream, { path: '/poison' })
    .answer.then((answer) => bodyOf(answer))
    .catch(() => undefined);
  assert.equal(await bodyOf(await send(upstream).answer), '{}');
  assert.equal(standIn.sockets.length, 2);
});

test('a connection that ends, or fails, while nobody uses it is replaced, and nothing else happens', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  const upstream = createTestUpstream(t, standIn.url);
  for (const end of ['end', 'destroy', 'resetAndDestroy'] as const) {
    await bodyOf(await send(upstream).answer);
    const socket = standIn.sockets.at(-1);
    assert.ok(socket);
    const closed = once(socket, 'close');
    socket[end]();
    await closed;
    await readAll();
  }
  assert.equal(await bodyOf(await send(upstream).answer), '{}');
  assert.equal(standIn.sockets.length, 4);
});

test('a connection is not used any more when the upstream said that it closes it', async (t) => {
  const answers = ['timeout=1', 'timeout=60, max=5', 'max=9'].map((keep) =>
    ok.replace('\r\n\r\n', `\r\nKeep-Alive: ${keep}\r\n\r\n`),
  );
  const standIn = await startStandIn(t, (socket) => socket.write(answers.shift() ?? ok));
  const upstream = createTestUpstream(t, standIn.url);
  // A second is within the time that the word itself may take; a minute is not; and no time is no end.
  const connections: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    await bodyOf(await send(upstream).answer);
    connections.push(standIn.sockets.length);
  }
  assert.deepEqual(connections.slice(0, 2), [1, 2]);
  // One more may be opened while the first one is being closed.
  assert.equal(connections.at(-1), connections[2]);
  assert.ok(standIn.sockets.length <= 3, `${connections}`);
});

test('an upstream that does not keep connections gets a new one each time', async (t) => {
  const standIn = await startStandIn(t, (socket) => {
    socket.end(ok.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  });
  const upstream = createTestUpstream(t, standIn.url);
  for (let i = 0; i < 3; i += 1) assert.equal(await bodyOf(await send(upstream).answer), '{}');
  assert.equal(standIn.sockets.length, 3);
});

test('as many as were in use at once are used again, the last one first', async (t) => {
  const standIn = await startStandIn(t, (socket) => setTimeout(() => socket.write(ok), 20));
  const upstream = createTestUpstream(t, standIn.url);
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 8 }, async () => bodyOf(await send(upstream).answer)));
  }
  assert.equal(standIn.sockets.length, 8);
});

test('material that is replaced closes what is idle, and what is in use once it is not', async (t) => {
  let answer = (): void => undefined;
  const standIn = await startStandIn(t, (socket, received) => {
    if (received.includes('/late')) answer = () => socket.write(ok);
    else socket.write(ok);
  });
  const baseUrl = new URL(standIn.url);
  const connections = openConnections({ baseUrl, timeouts: { connect: 1000, firstByte: 5000 } });
  const upstream = createUpstream({ baseUrl, connections });
  t.after(() => upstream.close());
  const [late] = [send(upstream, { path: '/late' }), await bodyOf(await send(upstream).answer)];
  await eventually('the late one has asked', () => standIn.received.some((one) => one.includes('/late')));
  const [inUse, idle] = standIn.received[0]?.includes('/late') ? standIn.sockets : standIn.sockets.toReversed();
  connections.replace({ parts: {}, subject: undefined, expiresMs: undefined });
  await eventually('the idle one is closed', () => idle?.destroyed === true);
  assert.equal(inUse?.destroyed, false);
  answer();
  assert.equal(await bodyOf(await late.answer), '{}', 'what was in flight is answered');
  await eventually('the other one is closed', () => inUse?.destroyed === true);
});

test('each request waits for its own time, whatever the one before it on that connection waited', async (t) => {
  let pauses: number[] = [];
  const standIn = await startStandIn(t, (socket) => {
    const pause = pauses.shift();
    if (pause !== undefined) setTimeout(() => socket.write(ok), pause);
  });
  await undisturbed(100, async () => {
    const upstream = createTestUpstream(t, standIn.url, { firstByte: 450 });
    const before = standIn.sockets.length;
    pauses = [200, 200, 200];
    for (let i = 0; i < 3; i += 1) assert.equal(await bodyOf(await send(upstream).answer), '{}');
    const asked = performance.now();
    assert.equal((await failureOf(send(upstream))).code, 'upstream_timeout');
    const waited = performance.now() - asked;
    assert.ok(waited > 400 && waited < 2000, `${waited} ms`);
    assert.equal(standIn.sockets.length - before, 1);
  });
});

test('a timeout that nobody waits for any more hits nobody', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  await undisturbed(20, async () => {
    const upstream = createTestUpstream(t, standIn.url, { firstByte: 60 });
    const before = standIn.sockets.length;
    await bodyOf(await send(upstream).answer);
    await wait(150);
    const done = send(upstream);
    await bodyOf(await done.answer);
    done.abandon();
    assert.equal(await bodyOf(await send(upstream).answer), '{}');
    assert.equal(standIn.sockets.length - before, 1);
  });
});
