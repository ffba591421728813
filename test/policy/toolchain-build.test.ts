import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { noModule } from './toolchain-fixture.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../scripts/build-opa.mjs', import.meta.url));

// Slow with cold caches: half a minute, else some five seconds.
test('the module is built byte by byte the same in any directory, at any commit', { skip: noModule }, async () => {
  const { stdout } = await run(process.execPath, [script, '--verify'], { timeout: 240_000 });
  const sums = stdout.trim().split('\n');
  assert.ok(sums.length >= 2);
  assert.equal(new Set(sums).size, 1);
  assert.match(sums[0] ?? '', /^[0-9a-f]{64}$/);
});

test('without Go the build says what is missing and what else there is, and lets npm ci go on', async () => {
  const { stderr } = await run(process.execPath, [script], { env: { PATH: '/nowhere' } });
  assert.match(stderr, /Go is not installed.*"opa" command on the PATH.*bundle/);
  assert.equal(stderr.trim().split('\n').length, 1);
});

test('without Go a build that is required fails', async () => {
  await assert.rejects(run(process.execPath, [script, '--required'], { env: { PATH: '/nowhere' } }), { code: 1 });
});
