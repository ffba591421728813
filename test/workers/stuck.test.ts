/** A worker whose event loop stands still serves nobody, and keeps nobody from being served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createFleet } from '../../src/workers/primary/fleet.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { isAlive, startWorkers, until } from './harness.ts';

test('while a worker stands still the others serve, and counts are told as they were known last', {
  skip: noModule,
}, async (t) => {
  const sidecar = await startWorkers(t);
  for (let request = 0; request < 4; request += 1) await sidecar.chat();
  const [first] = await sidecar.workers();
  const pid = first?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  t.after(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  // It is handed one connection at most; nobody waits for that one here.
  const impatient = Array.from({ length: 6 }, () => Promise.race([sidecar.chat(), sleep(3000)]));
  const answered = (await Promise.all(impatient)).filter((asked) => asked?.status === 200);
  assert.ok(answered.length >= 5, `${answered.length} answered`);
  const began = performance.now();
  assert.ok((await sidecar.metric(/opallama_requests_total\{.*\}/)) >= 9);
  assert.ok(performance.now() - began < 5000);
  process.kill(pid, 'SIGCONT');
  await until(async () => (await sidecar.metric(/opallama_requests_total\{.*\}/)) === 10, 'the one that waited');
});

test('a worker that stands still for long is ended and replaced', async (t) => {
  const config = { listen: { data: '127.0.0.1:0' }, identity: { anonymous: { roles: ['guest'] } } };
  const sources = { env: {}, cwd: '/', file: 'opallama.yaml', flags: [] };
  const files = new Map([['/opallama.yaml', Buffer.from(JSON.stringify(config))]]);
  const told: string[] = [];
  const fleet = createFleet({
    count: 1,
    begin: () => ({
      count: 1,
      sources: { ...sources, files },
      logLevel: 'silent',
      pseudonym: 'opallama-0123456789abcdef',
      drainState: 'serving',
      auditFails: false,
    }),
    catchUp: async () => {},
    onRemark() {},
    onTurn() {},
    onStuck: ({ number }) => told.push(`${number} is stuck`),
    onDeath: ({ number }, { signal }) => told.push(`${number} has ended: ${signal}`),
    onNotStarted: (_, error) => told.push(String(error)),
    onReplaced: ({ number }) => told.push(`${number} is replaced`),
    stuckMs: 4000,
  });
  await fleet.start();
  t.after(async () => {
    fleet.stop();
    await fleet.kill();
  });
  await fleet.serve();
  const [worker] = fleet.serving();
  process.kill(worker?.pid ?? 0, 'SIGSTOP');
  await until(() => told.includes('1 is replaced'), told.join());
  assert.deepEqual(told, ['1 is stuck', '1 has ended: SIGKILL', '1 is replaced']);
});
