/** What goes over the wire to Ollama is what was judged, byte for byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, createTestUpstream, eventually, send, startStandIn } from './stand-in.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';

test('a request is its line, the headers it was given, and the judged bytes', async (t) => {
  const body = '{"model":"tiny","x":"é😀\\u0000"}  \n';
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  const upstream = createTestUpstream(t, standIn.url);
  const answer = await send(upstream, { body, path: '/api/chat?ts=1&x=%2e%2E//..' }).answer;
  assert.equal(answer.status, 200);
  assert.equal(await bodyOf(answer), '{}');
  const [received = ''] = standIn.received;
  const [head = '', rest = ''] = received.split('\r\n\r\n');
  assert.deepEqual(
    head
      .split('\r\n')
      .map((line, i) => (i === 0 ? line : line.toLowerCase()))
      .sort(),
    [
      'POST /api/chat?ts=1&x=%2e%2E//.. HTTP/1.1',
      'connection: keep-alive',
      `content-length: ${Buffer.byteLength(body)}`,
      'content-type: application/json',
      `host: ${new URL(standIn.url).host}`,
    ],
  );
  assert.equal(Buffer.from(rest, 'latin1').toString(), body);
});

test('a request without a body has none, and no length', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  const upstream = createTestUpstream(t, standIn.url);
  await bodyOf(await send(upstream, { method: 'GET', path: '/api/tags', body: undefined }).answer);
  assert.doesNotMatch(standIn.received[0] ?? '', /content-length|transfer-encoding/i);
  assert.match(standIn.received[0] ?? '', /^GET \/api\/tags HTTP\/1\.1\r\n/);
});

test('a path of the base URL stands before every path', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  for (const base of ['/ollama', '/ollama/']) {
    const upstream = createTestUpstream(t, standIn.url + base);
    await bodyOf(await send(upstream).answer);
    assert.match(standIn.received.at(-1) ?? '', /^POST \/ollama\/api\/chat HTTP/);
    assert.equal(upstream.id, standIn.url, 'its name has no path');
  }
});

test('a connection serves the next request as well', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.write(ok));
  const upstream = createTestUpstream(t, standIn.url);
  for (let i = 0; i < 5; i += 1) await bodyOf(await send(upstream).answer);
  assert.equal(standIn.sockets.length, 1);
});

test('what Ollama answers is handed on whatever its status, redirects not followed', async (t) => {
  const standIn = await startStandIn(t, (socket, received) => {
    const status = /status=(\d+)/.exec(received.split('\r\n').findLast((line) => line.includes('status=')) ?? '')?.[1];
    socket.write(`HTTP/1.1 ${status} Whatever\r\nLocation: /elsewhere\r\nContent-Length: 3\r\n\r\nabc`);
  });
  const upstream = createTestUpstream(t, standIn.url);
  for (const status of [200, 301, 307, 400, 404, 418, 500, 503, 599]) {
    const answer = await send(upstream, { path: `/api/chat?status=${status}` }).answer;
    assert.equal(answer.status, status);
    assert.equal(await bodyOf(answer), 'abc');
  }
});

test('interim answers are passed over', async (t) => {
  const standIn = await startStandIn(t, (socket) =>
    socket.write(`HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}`),
  );
  const answer = await send(createTestUpstream(t, standIn.url)).answer;
  assert.equal(answer.status, 200);
});

test('three hundred streams at once all make progress: none waits for another', async (t) => {
  const count = 300;
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  const standIn = await startStandIn(t, (socket) => socket.write(`${head}5\r\nfirst\r\n`));
  const upstream = createTestUpstream(t, standIn.url);
  const answers = await Promise.all(Array.from({ length: count }, () => send(upstream).answer));
  let begun = 0;
  const bodies = answers.map((answer) =>
    bodyOf(answer, (body) => {
      if (body === 'first') begun += 1;
    }),
  );
  await eventually('every stream has begun while none has ended', () => begun === count);
  assert.equal(standIn.sockets.length, count);
  for (const socket of standIn.sockets) socket.write('4\r\nlast\r\n0\r\n\r\n');
  assert.deepEqual(new Set(await Promise.all(bodies)), new Set(['firstlast']));
});

test('two hundred exchanges of every kind leave no socket behind', { timeout: 60_000 }, async (t) => {
  const standIn = await startStandIn(t, (socket, received) => {
    const kind = /kind=(\w+)/.exec(received.slice(received.lastIndexOf('POST ')))?.[1];
    if (kind === 'whole') socket.write(ok);
    if (kind === 'reset') socket.resetAndDestroy();
    if (kind === 'garbage') socket.write('nonsense\r\n\r\n');
    if (kind === 'stream') socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    if (kind === 'dies') {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
      setTimeout(() => socket.destroy(), 10);
    }
  });
  // Only the silent ones are to be given up: on a busy machine the others can take long, too.
  const upstream = createTestUpstream(t, standIn.url, { connect: 30_000, firstByte: 30_000 });
  const hasty = createTestUpstream(t, standIn.url, { connect: 30_000, firstByte: 600 });
  const kinds = ['whole', 'reset', 'garbage', 'stream', 'dies', 'silent', 'abandoned'];
  const outcomes = new Map<string, number>();
  const one = async (kind: string): Promise<void> => {
    const exchange = send(kind === 'silent' ? hasty : upstream, { path: `/api/chat?kind=${kind}` });
    if (kind === 'abandoned') setTimeout(() => exchange.abandon(), 5);
    const outcome = await exchange.answer.then(
      async (answer) => {
        if (kind === 'stream') exchange.abandon();
        else await bodyOf(answer).catch(() => undefined);
        return 'answered';
      },
      (error: { code: string }) => error.code,
    );
    outcomes.set(`${kind}: ${outcome}`, (outcomes.get(`${kind}: ${outcome}`) ?? 0) + 1);
  };
  const queue = Array.from({ length: 210 }, (_, i) => kinds[i % kinds.length] ?? '');
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let kind = queue.pop(); kind !== undefined; kind = queue.pop()) await one(kind);
    }),
  );
  assert.deepEqual(Object.fromEntries([...outcomes].sort()), {
    'abandoned: client_closed_request': 30,
    'dies: answered': 30,
    'garbage: upstream_invalid': 30,
    'reset: upstream_reset': 30,
    'silent: upstream_timeout': 30,
    'stream: answered': 30,
    'whole: answered': 30,
  });
  upstream.close();
  hasty.close();
  await eventually('every socket is closed', () =>
    standIn.sockets.every((socket) => socket.destroyed || socket.readableEnded),
  );
});
