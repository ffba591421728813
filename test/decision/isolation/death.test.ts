/** A policy that ends its thread denies the request that it worked on; the next one finds another thread. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadModule } from './module-policy.ts';

const allow = [{ allow: true }];
const mortal = `
export function evaluate({ model }) {
  if (model === 'exit') process.exit(0);
  if (model === 'throws') throw new Error('a mere error');
  if (model === 'crashes') {
    setImmediate(() => { throw new Error('nobody catches this'); });
    return new Promise(() => {});
  }
  if (model === 'rejects') {
    Promise.reject(new Error('nobody awaits this'));
    return new Promise(() => {});
  }
  if (model === 'eats') {
    const food = [];
    for (;;) food.push(new Array(10_000).fill(food.length + 0.5));
  }
  return { allow: true };
}`;

for (const [model, code] of [
  ['exit', 'policy_crashed'],
  ['crashes', 'policy_crashed'],
  ['rejects', 'policy_crashed'],
  ['eats', 'policy_memory'],
] as const) {
  for (const workers of [1, 2]) {
    test(`a policy that ${model} is denied by ${code}, and the next request is decided, with ${workers} threads`, async (t) => {
      const { ask, lost } = await loadModule(t, mortal, { deadline: 10_000, memory: 32 * 1024 * 1024, workers });
      assert.equal(await ask(model), code);
      assert.deepEqual(await ask('good'), allow);
      assert.equal(await ask(model), code);
      assert.deepEqual(await ask('good'), allow);
      assert.deepEqual(lost, [code, code]);
    });
  }
}

test('an error that evaluation throws costs no thread and says where it was thrown', async (t) => {
  const { ask, lost, loaded } = await loadModule(t, mortal);
  assert.match(String(await ask('throws')), /a mere error/);
  assert.deepEqual(lost, []);
  const thrown = await Promise.resolve(loaded.evaluate('ollama/authz', JSON.parse('{"model":"throws"}'))).catch(
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof Error);
  assert.match(thrown.stack ?? '', /authz\.mjs:4:\d+/);
});

test('a thread that takes the place of another runs what was loaded, whatever lies on the disk', async (t) => {
  const source = (version: number) => `
    import { version } from './version.mjs';
    export function evaluate({ model }) {
      if (model === 'exit') process.exit(0);
      return { allow: true, version, main: ${version} };
    }`;
  const { ask, path, loaded } = await loadModule(t, source(1), {
    workers: 1,
    files: { 'version.mjs': 'export const version = 1;' },
  });
  const { revision } = loaded;
  const first = [{ allow: true, version: 1, main: 1 }];
  assert.deepEqual(await ask('good'), first);
  await writeFile(path, source(2));
  await writeFile(path.replace('authz', 'version'), 'export const version = 2;');
  await ask('exit');
  assert.deepEqual(await ask('good'), first);
  assert.equal(loaded.revision, revision);
});

test('a policy that was closed answers nothing, a process that forgot to close it still ends, and what it prints is no audit event', async () => {
  const script = fileURLToPath(new URL('./forgetful.ts', import.meta.url));
  for (const mode of ['close', 'forget']) {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, mode], { timeout: 100_000 });
    assert.equal(stdout, mode === 'close' ? 'allowed, then policy_unavailable\n' : 'allowed\n');
    assert.match(stderr, /not on standard output/);
  }
});
