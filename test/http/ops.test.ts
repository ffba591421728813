/** The ops listener: a thread of its own that says whether the event loop turns, and asks it for the rest. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import { nowMs } from '../../src/http/ops/messages.ts';
import { type OpsListenerOptions, startOpsListener } from '../../src/http/ops/ops-listener.ts';

async function start(t: TestContext, options: Partial<OpsListenerOptions> = {}) {
  const errors: unknown[] = [];
  const listener = await startOpsListener({
    address: { host: '127.0.0.1', port: 0 },
    metrics: async (accept) => ({ type: `text/plain; of=${accept}`, text: 'a_metric 1\n' }),
    notReady: () => ['the policy is missing'],
    details: () => ['and more'],
    onError: (error) => errors.push(error),
    ...options,
  });
  t.after(() => listener.close(100));
  return { listener, errors, url: `http://127.0.0.1:${listener.address.port}` };
}

/**
 * Asks from another thread again and again while this one stands, until it was answered with this status. This thread, and
 * with it its event loop, stands until then, at most 30 s.
 *
 * @returns the text of that answer; undefined where none came
 */
async function askWhileStanding(url: string, status: number): Promise<string | undefined> {
  const code = `const { parentPort, workerData: { url, status, flags } } = require('node:worker_threads');
    async function ask() {
      for (;;) {
        const answer = await fetch(url);
        const text = await answer.text();
        if (answer.status === status || Atomics.load(flags, 0) === 0) return text;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    ask().then(() => parentPort.postMessage('ready'));
    parentPort.once('message', async () => {
      const text = await ask();
      parentPort.postMessage(text);
      Atomics.store(flags, 1, 1);
      Atomics.notify(flags, 1);
    });`;
  const flags = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(code, { eval: true, workerData: { url, status, flags } });
  try {
    await once(worker, 'message');
    Atomics.store(flags, 0, 1);
    worker.postMessage('ask');
    if (Atomics.wait(flags, 1, 0, 30_000) === 'timed-out') return undefined;
    const [text]: unknown[] = await once(worker, 'message');
    return String(text);
  } finally {
    await worker.terminate();
  }
}

test('readiness, metrics and what there is not are told by the event loop', async (t) => {
  const { url } = await start(t);
  const told = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`${url}${path}`, init);
    return [answer.status, answer.headers.get('content-type'), await answer.text()];
  };
  const type = 'text/plain; charset=utf-8';
  assert.deepEqual(await told('/healthz'), [200, type, 'ok\n']);
  assert.deepEqual(await told('/readyz'), [503, type, 'the policy is missing\n']);
  assert.deepEqual(await told('/readyz?verbose'), [503, type, 'the policy is missing\nand more\n']);
  assert.deepEqual(await told('/metrics', { headers: { accept: 'x/y' } }), [200, 'text/plain; of=x/y', 'a_metric 1\n']);
  const notThere = 'The ops port has /metrics, /healthz and /readyz.\n';
  for (const [path, method] of [['/'], ['/metrics/x'], ['/healthz', 'POST'], ['/readyz', 'DELETE']] as const)
    assert.deepEqual(await told(path, { method: method ?? 'GET' }), [404, type, notThere], path);
  assert.deepEqual((await told('/healthz', { method: 'HEAD' }))[2], '');
});

test('an event loop that stands for a while is alive, and its health is told without waiting for it', async (t) => {
  const { url } = await start(t);
  // A loop that was asked itself would have answered after it stood.
  assert.equal(await askWhileStanding(`${url}/healthz`, 200), 'ok\n');
});

test('an event loop that is stuck is told to be, and lives again when it turns', async (t) => {
  const { url } = await start(t, { stuckMs: 500 });
  const text = await askWhileStanding(`${url}/healthz`, 503);
  assert.match(text ?? '', /^The event loop has been stuck for \d+ ms\.\n$/);
  let status = 503;
  for (const deadline = Date.now() + 30_000; status !== 200 && Date.now() < deadline; await sleep(20))
    status = (await fetch(`${url}/healthz`)).status;
  assert.equal(status, 200);
});

test('a worker whose event loop is stuck is told of by its number, and lives again when it turns', async (t) => {
  const workersTurned = new BigInt64Array(new SharedArrayBuffer(16)).fill(nowMs());
  const { url } = await start(t, { stuckMs: 60_000, workersTurned });
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  Atomics.store(workersTurned, 1, nowMs() - 70_000n);
  const answer = await fetch(`${url}/healthz`);
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /^The event loop of worker 2 has been stuck for \d+ ms\.\n$/);
  Atomics.store(workersTurned, 1, nowMs());
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
});

test('metrics that fail are a 500, and told', async (t) => {
  const { url, errors } = await start(t, { metrics: () => Promise.reject(new Error('no metrics')) });
  assert.equal((await fetch(`${url}/metrics`)).status, 500);
  assert.match(String(errors[0]), /no metrics/);
});

test('a port that is taken is the error that it is elsewhere', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  t.after(() => taken.close());
  const bound = taken.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  await assert.rejects(start(t, { address: { host: '127.0.0.1', port } }), { code: 'EADDRINUSE' });
});
