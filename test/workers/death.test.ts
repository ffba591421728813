/** A worker that is killed takes its own connections with it and nothing else. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { startLoad, startWorkers, until, type WorkersSidecar } from './harness.ts';

const skip = noModule;

test('a worker that is killed under load: the others go on, it is replaced, and no count goes back', {
  skip,
}, async (t) => {
  const sidecar = await startWorkers(t, { workers: 2, audit: { durability: 'strict' } });
  const load = startLoad(sidecar, { connections: 8 });
  await until(() => load.asked.length > 100, 'requests');
  let counted = 0;
  for (let kill = 1; kill <= 2; kill += 1) {
    const [victim] = await sidecar.workers();
    // Each connection has a request under way then, so those of the victim as well.
    const release = sidecar.upstream.hold();
    await until(async () => (await sidecar.metric(/opallama_requests_in_flight/)) === 8, 'eight in flight');
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    release();
    await until(async () => {
      const now = await sidecar.metric(/opallama_requests_total\{.*\}/);
      assert.ok(now >= counted, `${now} after ${counted}`);
      counted = now;
      return (await sidecar.workers()).filter(({ pid, serving }) => serving && pid !== victim?.pid).length === 2;
    }, 'a successor serves');
    assert.equal(await sidecar.metric(/opallama_worker_deaths_total/), kill);
    const from = load.asked.length;
    await until(() => load.asked.length > from + 50, 'requests behind it');
  }
  await load.stop();
  assert.ok(load.asked.every(({ status }) => status === 200));
  // On the connections of those that were killed, and on none beside.
  assert.ok(load.cut() > 0 && load.cut() <= 2 * 8, `${load.cut()} cut`);
  assert.equal(await sidecar.running.stop(), 0);

  assert.deepEqual(await sidecar.findings(), []);
  const completions = sidecar.lines('completion');
  const ids = new Set(completions.map(({ request_id: id }) => id));
  // Every request that was handed to the upstream has its end, told by its worker or by who replaced that.
  assert.equal(ids.size, completions.length);
  assert.deepEqual(new Set(sidecar.lines('decision').map(({ request_id: id }) => id)), ids);
  assert.equal(sidecar.upstream.requests() <= completions.length, true);
  const lost = completions.filter(({ error }) => error === 'internal_error');
  assert.ok(lost.length > 0);
  for (const { outcome, status, usage } of lost) assert.deepEqual([outcome, status, usage], ['error', 500, 'unknown']);
  const answered = new Set(load.asked.map(({ id }) => id));
  for (const id of answered) assert.ok(ids.has(id), `${id} was answered and is not recorded`);
});

test('with a file that can not be written no worker forwards anything', { skip }, async (t) => {
  const sidecar = await startWorkers(t, { audit: { durability: 'strict', on_failure: 'refuse' } });
  assert.equal((await sidecar.chat()).status, 200);
  // A directory in its place: whoever looks finds another one there, and none can be made.
  rmSync(sidecar.auditFile);
  mkdirSync(sidecar.auditFile);
  chmodSync(sidecar.auditFile, 0o700);
  await until(async () => (await sidecar.chat()).status === 503, 'a request that is refused');
  const before = sidecar.upstream.requests();
  for (const { status } of await Promise.all(Array.from({ length: 6 }, () => sidecar.chat())))
    assert.equal(status, 503);
  assert.equal(sidecar.upstream.requests(), before);
});

test('a worker that begins while the sidecar drains takes no requests either', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  const release = sidecar.upstream.hold();
  const held = sidecar.chat();
  await until(() => sidecar.upstream.requests() === 1, 'a request at the upstream');
  await sidecar.metric(/opallama_requests_in_flight/);
  const idle = (await sidecar.workers()).find((worker) => worker.in_flight === 0);
  const before = childrenOf(sidecar.running.process.pid);
  process.kill(idle?.pid ?? 0, 'SIGKILL');
  // It is there, and has not said yet that it is.
  await until(() => childrenOf(sidecar.running.process.pid).some((pid) => !before.includes(pid)), 'a successor');
  const drained = sidecar.admin('/v1/drain');
  await sidecar.running.waitFor(/"state":"refusing"/);
  await sidecar.running.waitFor(/takes the place of one that has ended/);
  for (const { status } of await Promise.all(Array.from({ length: 6 }, () => sidecar.chat())))
    assert.equal(status, 503);
  release();
  assert.equal((await held).status, 200);
  assert.deepEqual((await drained)['drained'], true);
});

test('a second signal cuts what is in flight in every worker, and tells of it', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  const { process: serving } = sidecar.running;
  sidecar.upstream.hold();
  const held = await heldBy(sidecar, 4);
  const exited = new Promise<number | null>((resolve) => serving.once('close', resolve));
  serving.kill('SIGTERM');
  await sidecar.running.waitFor(/shutting down/);
  serving.kill('SIGTERM');
  assert.equal(await exited, 1);
  // The answer that says so may still get out.
  for (const end of await Promise.all(held)) assert.match(end, /^(?:cut|503)$/);
  const errors = sidecar.lines('completion').map(({ outcome, error }) => [outcome, error]);
  assert.deepEqual(
    errors,
    Array.from({ length: 4 }, () => ['error', 'shutting_down']),
  );
  assert.deepEqual(await sidecar.findings(), []);
});

/** So many requests, once the upstream has them. */
async function heldBy(sidecar: WorkersSidecar, count: number): Promise<readonly Promise<string>[]> {
  const held = Array.from({ length: count }, () =>
    sidecar.chat().then(
      ({ status }) => String(status),
      () => 'cut',
    ),
  );
  await until(() => sidecar.upstream.requests() === count, 'requests at the upstream');
  return held;
}

function childrenOf(pid = 0): readonly string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
}
