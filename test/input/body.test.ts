import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ErrorCode, RequestError } from '../../src/errors.ts';
import { type BodyLimits, createBodyBudget, type ReceivedBody, readBody } from '../../src/input/body.ts';

const MiB = 1024 * 1024;

interface Outcome {
  readonly request: IncomingMessage;
  readonly body: ReceivedBody | undefined;
  readonly code: ErrorCode | undefined;
}

/** A server that reads one body a request by `readBody` and tells how that ended. */
async function serve(t: TestContext, limits: Partial<BodyLimits>, before?: () => Promise<unknown>) {
  const budget = createBodyBudget(4 * MiB);
  const outcomes: Array<(outcome: Outcome) => void> = [];
  const server = createServer(async (request, response) => {
    await before?.();
    let body: ReceivedBody | undefined;
    let code: ErrorCode | undefined;
    try {
      body = await readBody(request, { maxBytes: MiB, timeoutMs: 30_000, budget, ...limits });
      response.end(String(body.bytes.length));
    } catch (error) {
      assert.ok(error instanceof RequestError);
      code = error.code;
      response.writeHead(error.status, { connection: 'close' }).end(code);
    }
    outcomes.shift()?.({ request, body, code });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    budget,
    outcome: () => new Promise<Outcome>((resolve) => outcomes.push(resolve)),
    async connect(): Promise<Socket> {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      t.after(() => socket.destroy());
      await once(socket, 'connect');
      return socket;
    },
  };
}

function head(framing: string): string {
  return `POST / HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`;
}

async function readAnswer(socket: Socket): Promise<string> {
  let answer = '';
  socket.setEncoding('latin1').on('data', (text) => {
    answer += text;
  });
  while (!answer.includes('\r\n\r\n')) await once(socket, 'data');
  return answer;
}

function assertNoListeners(request: IncomingMessage): void {
  for (const event of ['data', 'error', 'close']) assert.equal(request.listenerCount(event), 0, event);
}

test('a body with a length comes whole, in one piece or in many', async (t) => {
  const server = await serve(t, {});
  const text = 'é'.repeat(70_000);
  for (const pieces of [1, 7]) {
    const outcome = server.outcome();
    const socket = await server.connect();
    const bytes = Buffer.from(text);
    socket.write(head(`Content-Length: ${bytes.length}`));
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.write(bytes.subarray(at, at + size));
    }
    const { body, request } = await outcome;
    assert.equal(body?.bytes.toString(), text);
    const held = server.budget.held;
    request.destroy();
    await new Promise(setImmediate);
    assert.equal(server.budget.held, held, 'what comes behind the body releases nothing');
    body?.release();
  }
  assert.equal(server.budget.held, 0);
});

test('a chunked body comes whole, a byte a chunk', async (t) => {
  const server = await serve(t, {});
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(head('Transfer-Encoding: chunked'));
  const text = '{"model":"tiny"}'.repeat(40);
  for (const character of text) socket.write(`1\r\n${character}\r\n`);
  socket.write('0\r\nX-Trailer: x\r\n\r\n');
  const { body } = await outcome;
  assert.equal(body?.bytes.toString(), text);
});

test('no body is an empty one', async (t) => {
  const server = await serve(t, {});
  const outcome = server.outcome();
  (await server.connect()).write(head('Content-Length: 0'));
  assert.equal((await outcome).body?.bytes.length, 0);
});

test('a length over the limit is refused before a byte of it came', async (t) => {
  const server = await serve(t, { maxBytes: 1000 });
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(head('Content-Length: 1001'));
  assert.match(await readAnswer(socket), /^HTTP\/1.1 413 /);
  assert.equal((await outcome).code, 'body_too_large');
  assert.equal(server.budget.held, 0);
});

test('a body of exactly the limit passes', async (t) => {
  const server = await serve(t, { maxBytes: 1000 });
  const outcome = server.outcome();
  (await server.connect()).write(`${head('Content-Length: 1000')}${'a'.repeat(1000)}`);
  assert.equal((await outcome).body?.bytes.length, 1000);
});

test('a chunked body is refused where it outgrows the limit, and the answer still arrives', async (t) => {
  const server = await serve(t, { maxBytes: 100_000 });
  const outcome = server.outcome();
  const socket = await server.connect();
  const answer = readAnswer(socket);
  socket.write(head('Transfer-Encoding: chunked'));
  for (let sent = 0; sent < 3; sent++) socket.write(`c350\r\n${'a'.repeat(50_000)}\r\n`);
  assert.match(await answer, /^HTTP\/1.1 413 /);
  const { code, request } = await outcome;
  assert.equal(code, 'body_too_large');
  assertNoListeners(request);
  assert.equal(server.budget.held, 0);
});

test('bodies that together outgrow the total are refused as overload, and make room when they are released', async (t) => {
  const budget = createBodyBudget(100_000);
  const server = await serve(t, { budget });
  const send = async (length: number) => {
    const outcome = server.outcome();
    (await server.connect()).write(`${head(`Content-Length: ${length}`)}${'a'.repeat(length)}`);
    return outcome;
  };
  const first = await send(60_000);
  assert.equal((await send(60_000)).code, 'overloaded');
  const small = await send(20_000);
  assert.equal(small.code, undefined);
  first.body?.release();
  first.body?.release();
  assert.equal((await send(60_000)).code, undefined);
  small.body?.release();
});

test('a length that is only announced takes no room', async (t) => {
  const budget = createBodyBudget(100_000);
  const server = await serve(t, { budget });
  for (let callers = 0; callers < 5; callers++) (await server.connect()).write(`${head('Content-Length: 90000')}a`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const outcome = server.outcome();
  (await server.connect()).write(`${head('Content-Length: 1000')}${'a'.repeat(1000)}`);
  assert.equal((await outcome).code, undefined);
  assert.ok(budget.held <= 5 * 16_384 + 1000, `${budget.held} bytes are charged`);
});

test('a body that does not come in time is given up', async (t) => {
  const server = await serve(t, { timeoutMs: 40 });
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(`${head('Content-Length: 10')}abc`);
  assert.match(await readAnswer(socket), /^HTTP\/1.1 408 /);
  const { code, request } = await outcome;
  assert.equal(code, 'request_timeout');
  assertNoListeners(request);
  assert.equal(server.budget.held, 0);
});

test('a client that leaves in the middle ends the reading', async (t) => {
  const server = await serve(t, {});
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(`${head('Content-Length: 100000')}${'a'.repeat(50_000)}`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.destroy();
  assert.equal((await outcome).code, 'client_closed_request');
  assert.equal(server.budget.held, 0);
});

test('a client that left before the reading began is noticed', async (t) => {
  let socket: Socket | undefined;
  const server = await serve(t, {}, async () => {
    socket?.destroy();
    await new Promise((resolve) => setTimeout(resolve, 30));
  });
  const outcome = server.outcome();
  socket = await server.connect();
  socket.write(`${head('Content-Length: 10')}abc`);
  assert.equal((await outcome).code, 'client_closed_request');
});

test('a chunk that is malformed ends the reading', async (t) => {
  const server = await serve(t, {});
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(`${head('Transfer-Encoding: chunked')}3\r\nabc\r\nnonsense\r\n`);
  assert.equal((await outcome).code, 'client_closed_request');
  assert.equal(server.budget.held, 0);
});

test('a body in many pieces is charged at most twice its size', async (t) => {
  const server = await serve(t, {});
  const outcome = server.outcome();
  const socket = await server.connect();
  socket.write(head('Transfer-Encoding: chunked'));
  for (let sent = 0; sent < 30; sent++) {
    socket.write(`2710\r\n${'a'.repeat(10_000)}\r\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write('0\r\n\r\n');
  const { body } = await outcome;
  assert.equal(body?.bytes.length, 300_000);
  assert.ok(server.budget.held >= 300_000 && server.budget.held <= 600_000, `${server.budget.held} bytes are charged`);
  body?.release();
  assert.equal(server.budget.held, 0);
});
