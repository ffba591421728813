/** What there is one of stays one, however many processes serve: the count, the chain, the policy, the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { isAlive, startLoad, startWorkers, until } from './harness.ts';

const skip = noModule;

test('each request is counted and recorded once, whichever worker served it, and the chain is in order', {
  skip,
}, async (t) => {
  const sidecar = await startWorkers(t, { workers: 3 });
  const load = startLoad(sidecar, { connections: 12 });
  await until(() => load.asked.length >= 600, '600 requests');
  await load.stop();
  const sent = load.asked.length;
  assert.ok(load.asked.every(({ status }) => status === 200));
  assert.equal(load.cut(), 0);
  assert.equal(sidecar.upstream.requests(), sent);
  assert.equal(await sidecar.metric(/opallama_requests_total\{.*\}/), sent);
  assert.equal(await sidecar.metric(/opallama_decisions_total\{result="allow".*\}/), sent);
  assert.equal(await sidecar.metric(/opallama_overhead_seconds_count/), sent);
  assert.equal(await sidecar.metric(/opallama_workers/), 3);
  assert.equal(await sidecar.metric(/opallama_requests_in_flight/), 0);

  assert.equal(await sidecar.running.stop(), 0);
  assert.deepEqual(await sidecar.findings(), []);
  for (const event of ['decision', 'completion']) {
    const ids = sidecar.lines(event).map(({ request_id: id }) => id);
    assert.equal(ids.length, sent);
    assert.deepEqual(new Set(ids), new Set(load.asked.map(({ id }) => id)));
  }
});

test('every worker serves', { skip }, async (t) => {
  const sidecar = await startWorkers(t, { workers: 3 });
  const release = sidecar.upstream.hold();
  const chats = Array.from({ length: 9 }, () => sidecar.chat());
  await until(async () => (await sidecar.metric(/opallama_requests_in_flight/)) === 9, 'nine in flight');
  const shares = (await sidecar.workers()).map((worker) => worker.in_flight);
  assert.equal(shares.length, 3);
  assert.ok(
    shares.every((share) => share > 0),
    `${shares}`,
  );
  release();
  for (const { status } of await Promise.all(chats)) assert.equal(status, 200);
});

test('SIGTERM lets what is in flight in every worker end, refuses the rest, and leaves with 0', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  const pids = (await sidecar.workers()).map(({ pid }) => pid);
  assert.equal(pids.length, 2);
  const release = sidecar.upstream.hold();
  const chats = Array.from({ length: 8 }, () => sidecar.chat());
  await until(() => sidecar.upstream.requests() === 8, 'eight at the upstream');
  const exited = new Promise((resolve) => sidecar.running.process.once('exit', resolve));
  sidecar.running.process.kill('SIGTERM');
  await sidecar.running.waitFor(/"state":"refusing"/);
  assert.equal((await sidecar.chat()).status, 503);
  assert.equal((await fetch(`${sidecar.opsUrl}/readyz`)).status, 503);
  release();
  for (const { status } of await Promise.all(chats)) assert.equal(status, 200);
  assert.equal(await exited, 0);
  assert.equal(sidecar.lines('completion').filter(({ status }) => status === 200).length, 8);
  assert.ok(pids.every((pid) => !isAlive(pid)));
});

test('workers end with a primary that was killed', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  const pids = (await sidecar.workers()).map(({ pid }) => pid);
  assert.ok(pids.every(isAlive));
  sidecar.running.process.kill('SIGKILL');
  await until(() => !pids.some(isAlive), 'no worker is left');
});
