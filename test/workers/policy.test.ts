/** A policy changes in all workers or in none, under load, and nobody is decided for by what was replaced. */
import assert from 'node:assert/strict';
import { test as define, type TestContext } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { patient } from '../support/at-best.ts';
import { numberedPolicy, startLoad, startWorkers, until, type WorkersSidecar } from './harness.ts';

// A policy that lies there for a moment is taken up by itself, and times are short here: what a held up process spoils is carried out anew.
const test = patient(define, 50);

const skip = noModule;

/** Which policies decide for callers on connections of their own, so that every worker is asked. */
async function whoDecide(sidecar: WorkersSidecar, subject?: string): Promise<ReadonlySet<string | undefined>> {
  const asked = await Promise.all(
    Array.from({ length: 9 }, () => sidecar.chat(subject === undefined ? {} : { subject })),
  );
  for (const { status } of asked) assert.equal(status, 200);
  return new Set(asked.map(({ policy }) => policy));
}

const reload = (sidecar: WorkersSidecar) => sidecar.admin('/v1/policies/policy/reload');

test('good and broken policies under load: each good one in all workers at once, a broken one in none', {
  skip,
}, async (t: TestContext) => {
  const sidecar = await startWorkers(t, { workers: 3 });
  const load = startLoad(sidecar, { connections: 9 });
  for (let number = 1; number <= 4; number += 1) {
    sidecar.writePolicy(numberedPolicy(number));
    assert.equal((await reload(sidecar))['result'], 'loaded');
    // From here on none decides by the one before, but for those that were under way.
    const begun = load.begun();
    await until(() => load.askedBehind(begun).length > 90, 'requests by the new policy');
    assert.deepEqual(new Set(load.askedBehind(begun).map(({ policy }) => policy)), new Set([`${number}`]));
    sidecar.writePolicy('package ollama.authz\nallow if true and\n');
    assert.equal((await reload(sidecar))['result'], 'refused');
    assert.deepEqual(await whoDecide(sidecar), new Set([`${number}`]));
  }
  await load.stop();
  assert.ok(load.asked.every(({ status }) => status === 200));
  assert.equal(load.cut(), 0);
  // Once for the sidecar, not once for each worker.
  assert.equal(await sidecar.metric(/opallama_policy_reload_total\{result="success"\}/), 5);
  assert.equal(await sidecar.metric(/opallama_policy_reload_total\{result="failure"\}/), 4);
  const requests = await sidecar.metric(/opallama_requests_total\{.*\}/);
  assert.equal(requests, load.asked.length + 4 * 9);
});

test('a rollback reaches all workers, and a worker that comes later', { skip }, async (t) => {
  const sidecar = await startWorkers(t);
  sidecar.writePolicy(numberedPolicy(1));
  await reload(sidecar);
  assert.deepEqual(await whoDecide(sidecar), new Set(['1']));
  await sidecar.admin('/v1/policies/policy/rollback');
  assert.deepEqual(await whoDecide(sidecar), new Set(['0']));
  const [first] = await sidecar.workers();
  process.kill(first?.pid ?? 0, 'SIGKILL');
  await until(async () => {
    const workers = await sidecar.workers();
    return workers.length === 2 && workers.every(({ pid, serving }) => serving && pid !== first?.pid);
  }, 'a successor serves');
  assert.deepEqual(await whoDecide(sidecar), new Set(['0']));
});

test('a caller gets the same revision of a rollout from every worker', { skip }, async (t) => {
  const sidecar = await startWorkers(t, { config: { policy: { path: 'policy', rollout: { percent: 50 } } } });
  sidecar.writePolicy(numberedPolicy(1));
  await reload(sidecar);
  const of = new Map<string, string | undefined>();
  for (let caller = 0; caller < 12; caller += 1) {
    const policies = await whoDecide(sidecar, `caller-${caller}`);
    assert.equal(policies.size, 1, `caller-${caller} got ${[...policies]}`);
    of.set(`caller-${caller}`, [...policies][0]);
  }
  assert.deepEqual(new Set(of.values()), new Set(['0', '1']));
  await sidecar.admin('/v1/policies/policy/rollout', { percent: 100 });
  for (const caller of of.keys()) assert.deepEqual(await whoDecide(sidecar, caller), new Set(['1']));
});
