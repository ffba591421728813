/** The chunks of an answer are ours to make: on the wire they are what Node would have made of the same bytes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import net from 'node:net';
import { test } from 'node:test';

import { openBody } from '../../src/stream/body-writer.ts';
import { portOf } from '../support/port-of.ts';

/** Around the lengths at which a length has one digit more, and at which a piece is no longer copied. */
const lengths = [1, 15, 16, 17, 255, 256, 4095, 4096, 16_384, 16_385, 65_536, 1_000_000];
const pieces = lengths.map((length, index) => Buffer.alloc(length, String.fromCharCode(0x61 + index)));

test('chunks are the bytes that Node makes, whatever the length of a piece', async (t) => {
  const ours = await answerOf(t, 'GET / HTTP/1.1', async (sink) => {
    const body = openBody(sink);
    for (const piece of pieces) await new Promise<void>((sent) => body.write(piece, sent));
    body.end();
  });
  // One by one: of what is written in one turn before the head is out Node makes one chunk.
  const nodes = await answerOf(t, 'GET / HTTP/1.1', async (sink) => {
    for (const piece of pieces) await new Promise((sent) => sink.write(piece, sent));
    sink.end();
  });
  assert.match(ours, /\r\nTransfer-Encoding: chunked\r\n/);
  assert.match(ours, /\r\n0\r\n\r\n$/);
  assert.ok(ours === nodes);
});

test('a client of HTTP/1.0 gets no chunks', async (t) => {
  const answer = await answerOf(t, 'GET / HTTP/1.0', (sink) => {
    const body = openBody(sink);
    for (const piece of pieces) body.write(piece);
    body.end();
  });
  assert.doesNotMatch(answer, /Transfer-Encoding/i);
  assert.ok(answer.slice(answer.indexOf('\r\n\r\n') + 4) === Buffer.concat(pieces).toString('latin1'));
});

test('a piece without bytes does not end the answer', async (t) => {
  const answer = await answerOf(t, 'GET / HTTP/1.1', (sink) => {
    const body = openBody(sink);
    body.write(Buffer.from('a'));
    assert.equal(body.write(Buffer.alloc(0)), true);
    body.write(Buffer.from('b'));
    body.end();
  });
  assert.match(answer, /\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n$/);
});

test('an answer to HEAD has no body, and the connection serves the next request', async (t) => {
  const answer = await answerOf(t, 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1', (sink) => {
    const body = openBody(sink);
    body.write(Buffer.from('a'));
    body.end();
  });
  assert.equal(answer.split('HTTP/1.1 200 OK').length, 3);
  assert.equal(answer.split('1\r\na\r\n0\r\n\r\n').length, 2);
});

test('a sink that has enough says so, and when it is told it was sent', async (t) => {
  const told: string[] = [];
  await answerOf(t, 'GET / HTTP/1.1', (sink) => {
    const body = openBody(sink);
    const small = body.write(Buffer.from('a'), () => told.push('small'));
    const large = body.write(Buffer.alloc(1_000_000), () => told.push('large'));
    assert.deepEqual([small, large], [true, false]);
    body.end();
  });
  assert.deepEqual(told, ['small', 'large']);
});

/** @returns all that the client got until the connection ended */
async function answerOf(
  t: { after(end: () => unknown): void },
  line: string,
  write: (sink: ServerResponse) => void | Promise<void>,
): Promise<string> {
  let fault: unknown;
  const server = createServer(async (_request, response) => {
    response.sendDate = false;
    response.writeHead(200, { 'content-type': 'text/plain' });
    try {
      await write(response);
    } catch (error) {
      fault = error;
      response.destroy();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const socket = net.connect(portOf(server), '127.0.0.1');
  const got: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => got.push(bytes));
  socket.write(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  if (fault !== undefined) throw fault;
  return Buffer.concat(got).toString('latin1');
}
