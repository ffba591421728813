/** Blobs are passed on unread, and whole only if they are what the digest in their path says. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { undisturbed } from '../support/at-best.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const big = Buffer.alloc(3 << 20, 'opallama ');
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Received {
  bytes: number;
  digest: string;
  /** Its end was there. */
  whole: boolean;
  broken: boolean;
  readonly headers: http.IncomingHttpHeaders;
}

/** A stand-in for Ollama that takes a blob, or answers before it has it. */
async function startBoth(
  t: TestContext,
  options: {
    readonly early?: boolean;
    readonly slow?: boolean;
    readonly sidecar?: Partial<Parameters<typeof startTestSidecar>[0]>;
  },
) {
  const received: Received[] = [];
  const server = http.createServer((request, response) => {
    // The sidecar lists the models on its own account too.
    if (request.url === '/api/tags') {
      response.end('{"models":[]}');
      return;
    }
    const one: Received = { bytes: 0, digest: '', whole: false, broken: false, headers: request.headers };
    received.push(one);
    if (options.early) {
      response.end();
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => {
      one.bytes += chunk.length;
      hash.update(chunk);
      if (options.slow && one.bytes < 200_000) {
        request.pause();
        setTimeout(() => request.resume(), 20);
      }
    });
    request.on('end', () => {
      one.whole = true;
      one.digest = `sha256:${hash.digest('hex')}`;
      response.writeHead(201).end();
    });
    request.on('error', () => {
      one.broken = true;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const sidecar = await startTestSidecar({ upstream: `http://127.0.0.1:${port}`, ...options.sidecar });
  t.after(() => sidecar.close());
  return { sidecar, received };
}

interface Sent {
  readonly status: number | undefined;
  readonly reason: string | undefined;
}

/** @param length announced; undefined: in chunks */
function upload(
  sidecar: TestSidecar,
  digest: string,
  parts: readonly Buffer[],
  options: { readonly length?: number | undefined; readonly role?: string; readonly end?: boolean } = {},
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${sidecar.url}/api/blobs/${digest}`, {
      method: 'POST',
      agent: false,
      headers: {
        authorization: `Bearer ${sidecar.token({ roles: [options.role ?? 'admin'] })}`,
        ...(options.length !== undefined && { 'content-length': options.length }),
      },
    });
    request.on('response', (response) => {
      response.resume();
      resolve({ status: response.statusCode, reason: response.headers['x-opallama-reason']?.toString() });
    });
    request.on('error', reject);
    for (const part of parts) request.write(part);
    if (options.end !== false) request.end();
    else request.flushHeaders();
  });
}

test('a blob arrives as it was sent, with a length and in chunks, also where Ollama is slow', async (t) => {
  const { sidecar, received } = await startBoth(t, { slow: true });
  for (const length of [big.length, undefined]) {
    assert.equal((await upload(sidecar, digestOf(big), [big], { length })).status, 201);
    const one = received.pop();
    assert.deepEqual([one?.whole, one?.bytes, one?.digest], [true, big.length, digestOf(big)]);
    assert.equal(one?.headers['content-length'], length?.toString());
    assert.equal(one?.headers.authorization, undefined);
  }
  const [event] = await sidecar.waitForEvents(2);
  assert.deepEqual(
    [event?.operation, event?.outcome, event?.path],
    ['blobs.create', 'complete', '/api/blobs/{digest}'],
  );
});

test('an empty blob has a digest too', async (t) => {
  const { sidecar, received } = await startBoth(t, {});
  const empty = Buffer.alloc(0);
  assert.equal((await upload(sidecar, digestOf(empty), [], { length: 0 })).status, 201);
  assert.deepEqual([received[0]?.whole, received[0]?.bytes], [true, 0]);
});

test('bytes of another digest never arrive whole', async (t) => {
  const { sidecar, received } = await startBoth(t, {});
  for (const [bytes, length] of [
    [big, big.length],
    [big, undefined],
    [Buffer.from('x'), 1],
    [Buffer.from('x'), undefined],
    [Buffer.alloc(0), 0],
  ] as const) {
    const sent = await upload(sidecar, digestOf(Buffer.from('other')), bytes.length === 0 ? [] : [bytes], { length });
    assert.deepEqual(sent, { status: 400, reason: 'digest_mismatch' });
  }
  const events = await sidecar.waitForEvents(5);
  assert.deepEqual([...new Set(events.map(({ error }) => error))], ['digest_mismatch']);
  assert.ok(received.every(({ whole }) => !whole));
});

test('who may not upload is refused before a byte is passed on', async (t) => {
  const { sidecar, received } = await startBoth(t, {});
  const sent = await upload(sidecar, digestOf(big), [big.subarray(0, 1000)], { role: 'developer' });
  assert.deepEqual(sent, { status: 403, reason: 'management_not_allowed' });
  assert.equal(received.length, 0);
});

test('a blob over the limit is refused, announced or not', async (t) => {
  const { sidecar, received } = await startBoth(t, { sidecar: { limits: { blob: 1 << 20 } } });
  const announced = await upload(sidecar, digestOf(big), [big], { length: big.length });
  assert.deepEqual(announced, { status: 413, reason: 'body_too_large' });
  assert.equal(received.length, 0);
  assert.deepEqual(await upload(sidecar, digestOf(big), [big]), { status: 413, reason: 'body_too_large' });
  assert.equal(received[0]?.whole, false);
});

test('a caller that stops sending is told so, and Ollama gets no end', async (t) => {
  const { sidecar, received } = await startBoth(t, { sidecar: { timeouts: { idle: 200 } } });
  const sent = await upload(sidecar, digestOf(big), [big.subarray(0, 100_000)], { length: big.length, end: false });
  assert.deepEqual(sent, { status: 408, reason: 'request_timeout' });
  assert.ok(received.every(({ whole }) => !whole));
});

test('an upload may take longer than an answer may be waited for', async (t) => {
  const { sidecar } = await startBoth(t, { sidecar: { timeouts: { firstByte: 400 } } });
  await undisturbed(100, async () => {
    const request = http.request(`${sidecar.url}/api/blobs/${digestOf(big)}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token({ roles: ['admin'] })}`, 'content-length': big.length },
    });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      request.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    for (let at = 0; at < 6; at++) {
      request.write(big.subarray((at * big.length) / 6, ((at + 1) * big.length) / 6));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    request.end();
    assert.equal(await answered, 201);
  });
});

test('Ollama may answer before it has all of it', async (t) => {
  const { sidecar, received } = await startBoth(t, { early: true });
  const sent = await upload(sidecar, digestOf(big), [big.subarray(0, 100_000)], { length: big.length, end: false });
  assert.equal(sent.status, 200);
  assert.equal(received[0]?.whole, false);
});

test('a caller that leaves takes the upload with it', async (t) => {
  const { sidecar, received } = await startBoth(t, {});
  const request = http.request(`${sidecar.url}/api/blobs/${digestOf(big)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token({ roles: ['admin'] })}`, 'content-length': big.length },
  });
  request.on('error', () => undefined);
  request.write(big.subarray(0, 200_000));
  while (received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  request.destroy();
  const [event] = await sidecar.waitForEvents(1);
  assert.deepEqual([event?.outcome, event?.error], ['aborted', 'client_closed_request']);
  assert.equal(received[0]?.whole, false);
});
