/** What a restart knows of rollbacks, rollouts and the revisions to go back to. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { PolicyConfig } from '../../src/configured/policy.ts';
import { adminToken, callAdmin } from '../support/admin.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { numberedPolicy, whoDecides } from '../support/changing-policy.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

test('what was rolled back stays so behind a restart, and a reload ends that', async (t) => {
  const place = await makePlace(t);
  const first = await place.start();
  for (const number of [1, 2]) await place.take(first, number);
  await rollBack(first);
  place.write(numberedPolicy(3));
  await first.app.reload();
  assert.match(await readyz(first), /it has changed since and waits$/m);
  const before = await revisionsOf(first);
  await first.close();

  const second = await place.start();
  assert.equal(await whoDecides(second, 'alice'), 1);
  assert.match(
    await readyz(second),
    /^policy: was rolled back at \S+, until it is told to reload; it has changed since and waits$/m,
  );
  await until(async () => (await revisionsOf(second)).length === 3);
  assert.deepEqual(await revisionsOf(second), before, 'in their order, as they were loaded');
  await second.app.reload();
  assert.equal(await whoDecides(second, 'alice'), 1);
  // Back as far as it was possible before.
  await rollBack(second);
  assert.equal(await whoDecides(second, 'alice'), 0);
  await second.close();

  const third = await place.start();
  assert.equal(await whoDecides(third, 'alice'), 0);
  const { body } = await callAdmin(third, '/v1/policies/policy/reload', { method: 'POST' });
  assert.equal(body['result'], 'loaded');
  assert.equal(await whoDecides(third, 'alice'), 3);
  await third.close();

  const fourth = await place.start();
  assert.equal(await whoDecides(fourth, 'alice'), 3);
  assert.doesNotMatch(await readyz(fourth), /rolled back/);
  assert.equal(readdirSync(join(place.stateDir, 'policy.revisions')).length, 3, 'others are taken away');
});

test('a rollout goes on behind a restart with the share that it had, also of what came meanwhile', async (t) => {
  const place = await makePlace(t, { rollout: { percent: 0 } });
  const first = await place.start();
  await place.take(first, 1);
  await rollOut(first, 99.99);
  assert.equal(await whoDecides(first, 'alice'), 1);
  await first.close();

  const second = await place.start();
  assert.match(await readyz(second), /^policy: revision \w+ decides for 99\.99 % of the callers$/m);
  assert.equal(await whoDecides(second, 'alice'), 1);
  await rollOut(second, 0);
  assert.equal(await whoDecides(second, 'alice'), 0);
  await second.close();

  place.write(numberedPolicy(2));
  const third = await place.start();
  assert.equal(await whoDecides(third, 'alice'), 0, 'what came while it was away begins with the configured share');
  await rollOut(third, 100);
  assert.equal(await whoDecides(third, 'alice'), 2);
  await third.close();
  const fourth = await place.start();
  assert.equal(await whoDecides(fourth, 'alice'), 2);
  assert.doesNotMatch(await readyz(fourth), /callers/);
});

test('where nobody can tell whether somebody rolled back, what decided last goes on deciding until a reload', async (t) => {
  for (const text of ['', '{"version": 2}']) {
    const place = await makePlace(t);
    const first = await place.start();
    await place.take(first, 1);
    await rollBack(first);
    await first.close();
    writeFileSync(place.lineage, text);
    const second = await place.start();
    assert.equal(await whoDecides(second, 'alice'), 0, JSON.stringify(text));
    assert.match(
      await readyz(second),
      /refused: .*lineage\.json can't be read.* What decided last goes on deciding; opallama reload/,
    );
    assert.match(await second.metrics(), /origin="kept"/);
    await callAdmin(second, '/v1/policies/policy/reload', { method: 'POST' });
    assert.equal(await whoDecides(second, 'alice'), 1);
    await second.close();
    const third = await place.start();
    assert.equal(await whoDecides(third, 'alice'), 1, 'it is whole again');
    assert.doesNotMatch(await readyz(third), /refused|rolled back/);
    await third.close();
  }
});

test('where what was rolled back to is damaged too, what decided last is looked for, and then what is configured', async (t) => {
  const place = await makePlace(t);
  const first = await place.start();
  await place.take(first, 1);
  await rollBack(first);
  await first.close();
  // Both names lead to the same bytes, unless the file system knows no second names.
  const revisions = join(place.stateDir, 'policy.revisions');
  for (const file of readdirSync(revisions)) rmSync(join(revisions, file));
  const second = await place.start();
  assert.equal(await whoDecides(second, 'alice'), 0);
  assert.match(await readyz(second), /refused: .* What decided last goes on deciding/);
  await second.close();

  for (const file of readdirSync(revisions)) rmSync(join(revisions, file));
  writeFileSync(join(place.stateDir, 'policy.tar.gz'), 'x');
  const third = await place.start();
  assert.equal(await whoDecides(third, 'alice'), 1);
});

test('a hold is of the policy that was held: of another path, engine or entrypoint nothing is kept', async (t) => {
  const place = await makePlace(t);
  const first = await place.start();
  await place.take(first, 1);
  await rollBack(first);
  await first.close();
  const second = await place.start({ engine: 'wasm' });
  assert.equal(await whoDecides(second, 'alice'), 1);
  assert.doesNotMatch(await readyz(second), /rolled back|refused/);
});

test('what an earlier version left is taken up', async (t) => {
  const place = await makePlace(t);
  const first = await place.start();
  await first.close();
  rmSync(place.lineage);
  rmSync(join(place.stateDir, 'policy.revisions'), { recursive: true, maxRetries: 10 });
  place.write({ 'authz.rego': 'package ollama.authz\nallow if {\n' });
  const second = await place.start();
  assert.equal(await whoDecides(second, 'alice'), 0);
  await until(() => existsSync(place.lineage));
  assert.equal(JSON.parse(readFileSync(place.lineage, 'utf8')).revisions.length, 1);
});

test('without a directory for it a restart loads what is configured', async (t) => {
  const place = await makePlace(t, { stateDir: undefined });
  const first = await place.start();
  await place.take(first, 1);
  await rollBack(first);
  await first.close();
  assert.equal(await whoDecides(await place.start(), 'alice'), 1);
  assert.equal(existsSync(place.stateDir), false);
});

interface Place {
  readonly stateDir: string;
  readonly lineage: string;
  write(files: Readonly<Record<string, string>>): void;
  /** Writes a policy and has it taken up. */
  take(sidecar: TestSidecar, number: number): Promise<void>;
  start(over?: Partial<PolicyConfig>): Promise<TestSidecar>;
}

async function makePlace(t: TestContext, config: Partial<PolicyConfig> = {}): Promise<Place> {
  const upstream = await startAnsweringUpstream(t);
  const root = mkdtempSync(join(tmpdir(), 'opallama-lineage-'));
  t.after(() => rmSync(root, { recursive: true, force: true, maxRetries: 10 }));
  const [path, stateDir] = [join(root, 'policies'), join(root, 'state')];
  mkdirSync(path);
  const write = (files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  };
  write(numberedPolicy(0));
  return {
    stateDir,
    lineage: join(stateDir, 'policy.lineage.json'),
    write,
    async take(sidecar, number) {
      write(numberedPolicy(number));
      const { body } = await callAdmin(sidecar, '/v1/policies/policy/reload', { method: 'POST' });
      assert.equal(body['result'], 'loaded');
    },
    async start(over) {
      const sidecar = await startTestSidecar({
        upstream,
        adminTokens: { oncall: adminToken },
        policyConfig: { path, stateDir, engine: 'topdown', ...config, ...over },
      });
      let closing: Promise<void> | undefined;
      const close = (): Promise<void> => (closing ??= sidecar.close());
      t.after(close);
      return { ...sidecar, close };
    },
  };
}

async function rollBack(sidecar: TestSidecar): Promise<void> {
  const { status, body } = await callAdmin(sidecar, '/v1/policies/policy/rollback', { send: {} });
  assert.equal(status, 200, JSON.stringify(body));
}

async function rollOut(sidecar: TestSidecar, percent: number): Promise<void> {
  const { status, body } = await callAdmin(sidecar, '/v1/policies/policy/rollout', { send: { percent } });
  assert.equal(status, 200, JSON.stringify(body));
}

async function revisionsOf(sidecar: TestSidecar): Promise<readonly unknown[]> {
  const { body } = await callAdmin(sidecar, '/v1/policies/policy/revisions');
  return Array.isArray(body['revisions']) ? body['revisions'] : [];
}

async function readyz(sidecar: TestSidecar): Promise<string> {
  return (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) if (await holds()) return;
  assert.fail('not within 30 s');
}
