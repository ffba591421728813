/** The hook that holds Ollama's end back, as the manifest has it, run beside a sidecar with a stream in flight. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { adminToken } from '../support/admin.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { noKustomize, readManifests, renderKustomize, workloadsOf } from '../support/kubernetes/render.ts';
import { startSlowUpstream } from '../support/slow-upstream.ts';

const skip =
  spawnSync('bash', ['--version']).status === 0 ? noKustomize : 'bash, which the hook is written for, is missing';

/** The command, with the port and the token of this test in the place of the pod's. */
function hookOf(t: TestContext, port: number, token: string): readonly string[] {
  const home = mkdtempSync(join(tmpdir(), 'opallama-hook-'));
  t.after(() => rmSync(home, { recursive: true, maxRetries: 10 }));
  writeFileSync(join(home, 'token'), token);
  const [ollama] = workloadsOf(readManifests(renderKustomize('native-sidecar'))).flatMap(({ pod }) => pod.containers);
  const [bash, flag, script = ''] = ollama?.lifecycle?.preStop.exec?.command ?? [];
  assert.deepEqual([bash, flag], ['/bin/bash', '-c']);
  const mine = script.replace('/9191', `/${port}`).replace('/run/secrets/drain/token', join(home, 'token'));
  assert.ok(mine.includes(`/${port}`) && mine.includes(home));
  return ['-c', mine];
}

/** Nothing of the machine's is on its PATH: what is not bash itself could be missing in the image of Ollama. */
function runHook(hook: readonly string[]) {
  const child = spawn('/bin/bash', hook, { env: { PATH: '/nowhere' }, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  // Not before all that it said has been read.
  return once(child, 'close').then(([code]: unknown[]) => ({ code, said }));
}

async function start(t: TestContext) {
  const upstream = await startSlowUpstream();
  t.after(() => upstream.close());
  const sidecar = await startTestSidecar({
    upstream: upstream.url,
    policy: { 'authz.rego': 'package ollama.authz\ndefault allow := true\n' },
    adminTokens: { 'pre-stop': adminToken },
    adminScope: 'drain',
    shutdown: { delay: 0, grace: 10_000 },
  });
  t.after(() => sidecar.close());
  return { upstream, sidecar, port: sidecar.app.admin?.port ?? 0 };
}

test('the hook returns when the last stream has ended, and not before', { skip }, async (t) => {
  const { upstream, sidecar, port } = await start(t);
  const answer = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token()}` },
    body: '{"model":"tiny","messages":[]}',
  });
  const hook = runHook(hookOf(t, port, adminToken));
  assert.equal(await Promise.race([hook, sleep(500, 'waits')]), 'waits');
  assert.equal((await fetch(`${sidecar.opsUrl}/readyz`)).status, 503);
  upstream.finish();
  assert.match(await answer.text(), /"done":true/);
  assert.deepEqual(await hook, { code: 0, said: 'HTTP/1.1 200 OK\r\n' });
});

test('a hook that is not let in says so, so that Kubernetes tells of it', { skip }, async (t) => {
  const { port } = await start(t);
  assert.deepEqual(await runHook(hookOf(t, port, 'another-token-0123456789abcdef')), {
    code: 1,
    said: 'HTTP/1.1 401 Unauthorized\r\n',
  });
});

test('a hook that finds no sidecar holds nothing up', { skip }, async (t) => {
  const { said } = await runHook(hookOf(t, 9, adminToken));
  assert.equal(said, '');
});
