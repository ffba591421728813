/** Delivery on real sockets: as it comes, and ended in exactly one way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RequestError } from '../../src/errors.ts';
import { createUsageHider } from '../../src/stream/hide-usage.ts';
import { atBest, undisturbed } from '../support/at-best.ts';
import { ask, chunk, chunkedHead, firstOf, lastChunk, startDelivery, untilStill } from './delivery.ts';

test('each frame reaches the client before the next one leaves the upstream', async (t) => {
  const { port, deliveries, firstBytes, upstreamSockets } = await startDelivery(t, (socket) =>
    socket.write(chunkedHead),
  );
  const client = ask(t, port);
  const upstream = await firstOf(upstreamSockets);
  for (let i = 0; i < 6; i += 1) {
    await client.until(i === 0 ? '\r\n\r\n' : `frame ${i - 1}\n`);
    upstream.write(chunk(`frame ${i}\n`));
  }
  await client.until('frame 5\n');
  upstream.write(lastChunk);
  await client.until('\r\n0\r\n\r\n');
  assert.equal(await deliveries[0]?.ended, 'whole');
  assert.equal(firstBytes(), 1);
});

test('the head goes out before the first byte of the body is there', async (t) => {
  const { port, firstBytes } = await startDelivery(t, (socket) => socket.write(chunkedHead));
  const client = ask(t, port);
  await client.until('\r\n\r\n');
  assert.match(client.text(), /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal(firstBytes(), 0);
});

test('an answer of known length keeps its length and its bytes', async (t) => {
  const body = 'x'.repeat(10_000);
  const { port, deliveries } = await startDelivery(t, (socket) => {
    socket.write(`HTTP/1.1 201 Created\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 4000)}`);
    setTimeout(() => socket.write(body.slice(4000)), 20);
  });
  const client = ask(t, port);
  await client.until('x'.repeat(10_000));
  assert.match(client.text(), /^HTTP\/1\.1 201 Created\r\n/);
  assert.match(client.text(), /\r\ncontent-length: 10000\r\n/i);
  assert.doesNotMatch(client.text(), /transfer-encoding/i);
  assert.equal(await deliveries[0]?.ended, 'whole');
});

test('an answer with a length that is too large to be gathered streams, and keeps its length', async (t) => {
  const body = Buffer.alloc(600 * 1024, 'y');
  const { port, deliveries, upstreamSockets } = await startDelivery(t, (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body.subarray(0, 1000));
  });
  const client = ask(t, port);
  await client.until('y'.repeat(1000));
  upstreamSockets[0]?.write(body.subarray(1000));
  await client.until('y'.repeat(body.length));
  assert.match(client.text(), /\r\ncontent-length: 614400\r\n/i);
  assert.equal(await deliveries[0]?.ended, 'whole');
});

test('an empty answer, an answer to HEAD and one without a body end as they should', async (t) => {
  for (const [method, head] of [
    ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n'],
    ['HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\n\r\n'],
  ] as const) {
    const { port, deliveries } = await startDelivery(t, (socket) => socket.write(head));
    const client = ask(t, port, method);
    await client.until('\r\n\r\n');
    assert.equal(await deliveries[0]?.ended, 'whole', head);
    assert.equal(client.text().split('\r\n\r\n')[1], '', head);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    if (length !== undefined) assert.match(client.text(), new RegExp(`content-length: ${length}\\r\\n`, 'i'));
  }
});

test('a stream that dies midway gets an error frame of its own line and no clean end', async (t) => {
  for (const [sent, separator] of [
    ['line\n', ''],
    ['half a li', '\n'],
  ] as const) {
    const { port, deliveries } = await startDelivery(t, (socket) => {
      socket.write(chunkedHead + chunk(sent).toString());
      setTimeout(() => socket.destroy(), 30);
    });
    const client = ask(t, port);
    await client.closed;
    const body = client.text().split('\r\n\r\n')[1] ?? '';
    assert.equal(
      body.replace(/^[0-9a-f]+\r\n|\r\n[0-9a-f]+\r\n|\r\n$/g, ''),
      `${sent}${separator}{"error":"upstream_died"}\n`,
    );
    assert.ok(!client.text().includes('0\r\n\r\n'), 'a last chunk would say that all is there');
    assert.equal(await deliveries[0]?.ended, 'upstream_died');
  }
});

test('an end of the connection without a last chunk is a death as well', async (t) => {
  const { port, deliveries } = await startDelivery(t, (socket) => socket.end(chunkedHead + chunk('a\n').toString()));
  const client = ask(t, port);
  await client.closed;
  assert.ok(client.text().includes('upstream_died') && !client.text().includes('0\r\n\r\n'));
  assert.equal(await deliveries[0]?.ended, 'upstream_died');
});

test('a death before a gathered answer is whole rejects, so that the answer can be an error of its own', async (t) => {
  const { port, deliveries } = await startDelivery(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
    setTimeout(() => socket.destroy(), 30);
  });
  const client = ask(t, port);
  await client.until('not delivered');
  assert.match(client.text(), /^HTTP\/1\.1 502 /);
  await assert.rejects((await firstOf(deliveries)).ended, (error) => {
    assert.ok(error instanceof RequestError);
    assert.equal(error.code, 'upstream_died');
    return true;
  });
});

test('a pause of the upstream beyond the limit cuts the stream, and lets go of the upstream', async (t) => {
  await undisturbed(30, async () => {
    const { port, deliveries, upstreamSockets } = await startDelivery(
      t,
      async (socket) => {
        socket.write(chunkedHead);
        // Pauses below the limit are none of its business, however long they are together.
        for (let i = 0; i < 5; i += 1) {
          socket.write(chunk(`${i}\n`));
          await sleep(60);
        }
      },
      { idleMs: 150 },
    );
    const client = ask(t, port);
    await client.until('4\n');
    const started = performance.now();
    await client.closed;
    assert.ok(performance.now() - started > 100);
    assert.ok(client.text().includes('{"error":"upstream_idle"}') && !client.text().includes('0\r\n\r\n'));
    assert.equal(await deliveries[0]?.ended, 'upstream_idle');
    const [upstream] = upstreamSockets;
    if (upstream?.destroyed === false) await once(upstream, 'close');
  });
});

test('a pause before a gathered answer is whole rejects', async (t) => {
  const { port, deliveries } = await startDelivery(
    t,
    (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'),
    { idleMs: 60 },
  );
  await ask(t, port).until('not delivered');
  await assert.rejects((await firstOf(deliveries)).ended, { code: 'upstream_idle' });
});

test('a cut from outside, as by the time for the whole request, ends it with a frame', async (t) => {
  const { port, deliveries, upstreamSockets } = await startDelivery(t, (socket) =>
    socket.write(chunkedHead + chunk('a\n').toString()),
  );
  const client = ask(t, port);
  await client.until('a\n');
  const closed = upstreamSockets[0] && once(upstreamSockets[0], 'close');
  deliveries[0]?.cut('total_timeout');
  deliveries[0]?.cut('upstream_idle');
  await client.closed;
  await closed;
  assert.ok(client.text().includes('{"error":"total_timeout"}') && !client.text().includes('upstream_idle'));
  assert.equal(await deliveries[0]?.ended, 'total_timeout');
});

for (const leave of ['destroy', 'end'] as const) {
  test(`a client that leaves (${leave}) closes the upstream within 100 ms`, async (t) => {
    const { port, deliveries, upstreamSockets } = await startDelivery(t, (socket) =>
      socket.write(chunkedHead + chunk('a\n').toString()),
    );
    const tookMs = await atBest(100, async () => {
      const client = ask(t, port);
      await client.until('a\n');
      const upstream = upstreamSockets.at(-1);
      assert.ok(upstream !== undefined);
      const started = performance.now();
      client.socket[leave]();
      await once(upstream, 'close');
      const closedAfterMs = performance.now() - started;
      assert.equal(await deliveries.at(-1)?.ended, 'client_left');
      return closedAfterMs;
    });
    assert.ok(tookMs < 100, `${tookMs} ms`);
  });
}

test('a client that takes nothing pauses the upstream: what is held between them is bounded', async (t) => {
  const frame = chunk(Buffer.alloc(64 * 1024, 'z'));
  const total = 1000;
  let accepted = 0;
  const { port, deliveries, upstreamSockets } = await startDelivery(
    t,
    async (socket) => {
      socket.write(chunkedHead);
      for (let i = 0; i < total && !socket.destroyed; i += 1) {
        if (!socket.write(frame)) await once(socket, 'drain').catch(() => undefined);
        accepted += frame.length;
      }
      socket.write(lastChunk);
    },
    // A client that is waited for is no pause of the upstream.
    { idleMs: 300 },
  );
  const client = ask(t, port);
  client.socket.pause();
  await firstOf(deliveries);
  // Nothing more is taken while the client takes nothing.
  const held = await untilStill(() => accepted);
  // Buffers of the kernel on both ways; all of it would be 64 MB.
  assert.ok(held < 24 * 1024 * 1024, `${held} bytes were taken from the upstream`);
  assert.equal(upstreamSockets[0]?.destroyed, false);
  client.socket.resume();
  assert.equal(await deliveries[0]?.ended, 'whole');
  assert.equal(accepted, frame.length * total);
});

test('a client that does not take finished answers is ended by the time for the whole request', async (t) => {
  const answer = Buffer.alloc(200_000, 'b');
  const { port, deliveries } = await startDelivery(t, (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n`);
    socket.write(answer);
  });
  const client = ask(t, port);
  // More than the buffers between the two sockets take.
  client.socket.pause();
  for (let i = 0; i < 100; i += 1) client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await firstOf(deliveries);
  await untilStill(() => deliveries.length);
  for (const delivery of deliveries) delivery.cut('total_timeout');
  const patience = sleep(30_000, 'some are still there', { ref: false });
  const ends = await Promise.race([Promise.all(deliveries.map(({ ended }) => ended)), patience]);
  assert.ok(Array.isArray(ends), String(ends));
  assert.ok(ends.includes('total_timeout'), `${ends.length} answers, all of which were taken`);
});

test('what a filter held is delivered at the end', async (t) => {
  const { port } = await startDelivery(
    t,
    (socket) => socket.write(chunkedHead + chunk('data: a\n\ndata: b').toString() + lastChunk),
    { filter: createUsageHider({ inEachEvent: false }) },
  );
  const client = ask(t, port);
  await client.until('0\r\n\r\n');
  assert.match(client.text(), /data: a\n\n/);
  assert.match(client.text(), /data: b\r\n0\r\n\r\n$/);
});

test('the tap is told of each chunk after it was handed on', async (t) => {
  const seen: string[] = [];
  const { port, deliveries } = await startDelivery(
    t,
    async (socket) => {
      socket.write(chunkedHead + chunk('one').toString());
      await sleep(20);
      socket.write(chunk('two').toString() + lastChunk);
    },
    {
      tap: {
        observe: (bytes) => seen.push(bytes.toString()),
        report: () => ({ usage: undefined, finishReason: undefined, ended: true, failed: false }),
      },
    },
  );
  await ask(t, port).until('0\r\n\r\n');
  assert.equal(await deliveries[0]?.ended, 'whole');
  assert.deepEqual(seen, ['one', 'two']);
});
