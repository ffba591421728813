/** The process at its end: what a SIGTERM, a Ctrl+C and a second signal come to, with requests in flight. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { noModule } from '../policy/toolchain-fixture.ts';
import { run } from '../support/running.ts';
import { startSlowUpstream } from '../support/slow-upstream.ts';

const command = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

async function serve(t: TestContext, shutdown: { readonly delay: string; readonly grace: string }) {
  const home = mkdtempSync(join(tmpdir(), 'opallama-shutdown-'));
  t.after(() => rmSync(home, { recursive: true, maxRetries: 10 }));
  const upstream = await startSlowUpstream();
  t.after(() => upstream.close());
  writeFileSync(join(home, 'authz.rego'), 'package ollama.authz\ndefault allow := true\n');
  const config = {
    listen: { data: '127.0.0.1:0', ops: '127.0.0.1:0' },
    upstream: { base_url: upstream.url },
    policy: { path: 'authz.rego' },
    identity: { anonymous: { roles: ['guest'] } },
    shutdown,
  };
  // JSON is YAML.
  writeFileSync(join(home, 'opallama.yaml'), JSON.stringify({ ...config, policy: { path: home } }));
  const env = { OPALLAMA_SHUTDOWN__DELAY: undefined };
  const running = run(process.execPath, [command, 'serve', '--config', join(home, 'opallama.yaml')], {
    cwd: home,
    env,
  });
  t.after(() => running.process.kill('SIGKILL'));
  const port = async (listener: string) =>
    (await running.waitFor(new RegExp(`"listener":"${listener}".*?"port":(\\d+)`)))[1];
  const url = `http://127.0.0.1:${await port('data')}`;
  const opsUrl = `http://127.0.0.1:${await port('ops')}`;
  const chat = () => fetch(`${url}/api/chat`, { method: 'POST', body: '{"model":"tiny","messages":[]}' });
  const exited = new Promise<number | null>((resolve) => running.process.once('close', resolve));
  return { running, upstream, chat, opsUrl, exited };
}

const skip = noModule;

test('SIGTERM cuts no stream that ends within the grace, tells of every request, and leaves with 0', {
  skip,
}, async (t) => {
  const { running, upstream, chat, opsUrl, exited } = await serve(t, { delay: '2s', grace: '60s' });
  const answers = await Promise.all(Array.from({ length: 20 }, chat));
  running.process.kill('SIGTERM');
  await running.waitFor(/"state":"leaving"/);
  assert.equal((await fetch(`${opsUrl}/readyz`)).status, 503);
  answers.push(await chat());
  await running.waitFor(/"state":"refusing"/);
  assert.equal((await chat()).status, 503);
  // The counts can be read to the end.
  assert.match(await (await fetch(`${opsUrl}/metrics`)).text(), /opallama_requests_in_flight 21/);
  upstream.finish();
  for (const answer of answers) assert.match(await answer.text(), /"done":true/);
  assert.equal(await exited, 0);
  const audited = running
    .stdout()
    .split('\n')
    .filter((line) => line.includes('"event":"audit"'));
  assert.equal(audited.filter((line) => line.includes('"outcome":"complete"')).length, 21);
  assert.equal(audited.length, 22);
});

test('Ctrl+C waits for no delay', { skip }, async (t) => {
  const { running, exited } = await serve(t, { delay: '30s', grace: '20s' });
  const began = performance.now();
  running.process.kill('SIGINT');
  assert.equal(await exited, 0);
  assert.ok(performance.now() - began < 20_000);
});

test('a second signal ends it at once, and tells of what is in flight', { skip }, async (t) => {
  const { running, chat, exited } = await serve(t, { delay: '30s', grace: '30s' });
  const answers = await Promise.all([chat(), chat()]);
  running.process.kill('SIGTERM');
  await running.waitFor(/"state":"leaving"/);
  await sleep(50);
  running.process.kill('SIGTERM');
  for (const answer of answers) await assert.rejects(answer.text());
  assert.equal(await exited, 1);
  assert.equal(running.stdout().match(/"outcome":"incomplete"/g)?.length, 2, running.stdout());
});

test('it ends although nobody reads its log any more', { skip }, async (t) => {
  const { running, chat, exited } = await serve(t, { delay: '30s', grace: '30s' });
  await chat();
  running.process.stderr?.destroy();
  // Lines of both wait to be written when the process exits.
  running.process.kill('SIGTERM');
  running.process.kill('SIGINT');
  assert.equal(await Promise.race([exited, sleep(20_000, 'it hangs', { ref: false })]), 1);
});

test('what is in flight when the grace is over is cut, told of, and does not keep the process', { skip }, async (t) => {
  const { running, chat, exited } = await serve(t, { delay: '0s', grace: '200ms' });
  const answer = await chat();
  running.process.kill('SIGTERM');
  await assert.rejects(answer.text());
  assert.equal(await exited, 0);
  assert.match(running.stdout(), /"outcome":"(aborted|incomplete)"/);
});
