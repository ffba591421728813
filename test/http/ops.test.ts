/** The ops listener: a thread of its own that says whether the event loop turns, and asks it for the rest. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

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

/** Asks from another thread, while this one stands. @returns status, text and ms */
function askFromElsewhere(url: string): { answered(): Promise<{ status: number; text: string; tookMs: number }> } {
  const code = `const { parentPort, workerData } = require('node:worker_threads');
    setTimeout(async () => {
      const began = performance.now();
      const answer = await fetch(workerData);
      parentPort.postMessage({ status: answer.status, text: await answer.text(), tookMs: performance.now() - began });
    }, 600);`;
  const worker = new Worker(code, { eval: true, workerData: url });
  const answer = new Promise<{ status: number; text: string; tookMs: number }>((resolve) =>
    worker.once('message', resolve),
  );
  return { answered: () => answer };
}

/** Holds the event loop up. */
function stand(ms: number): void {
  spawnSync(process.execPath, ['-e', `setTimeout(() => {}, ${ms})`]);
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
  const elsewhere = askFromElsewhere(`${url}/healthz`);
  await sleep(300);
  const began = performance.now();
  stand(1500);
  assert.ok(performance.now() - began > 1400);
  const { status, text, tookMs } = await elsewhere.answered();
  assert.deepEqual([status, text], [200, 'ok\n']);
  // A loop that was asked itself would have had it wait for the rest of that time.
  assert.ok(tookMs < 700, `${tookMs} ms`);
});

test('an event loop that is stuck is told to be, and lives again when it turns', async (t) => {
  const { url } = await start(t, { stuckMs: 500 });
  const elsewhere = askFromElsewhere(`${url}/healthz`);
  await sleep(100);
  stand(2500);
  const { status, text } = await elsewhere.answered();
  assert.equal(status, 503);
  assert.match(text, /^The event loop has been stuck for \d+ ms\.\n$/);
  await sleep(300);
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
