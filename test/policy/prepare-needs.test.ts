/** A policy is prepared as far as its engine needs it: what is not needed is neither made nor kept. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';
import { noModule } from './toolchain-fixture.ts';

const toolchain = createToolchain({ path: undefined });
after(() => toolchain.close());
/** Stands in for a tool chain that must not be asked. */
const none = createToolchain({ path: undefined, wasmFile: '/nowhere' });
const skip = noModule;

const rego = 'package a\n\ndefault allow := false\n\nallow if input.model in data.models\n';
const tests = 'package a_test\n\nimport data.a\n\ntest_tiny if a.allow with input as {"model": "tiny"}\n';
const files = { 'a/a.rego': rego, 'a/a_test.rego': tests, 'data.json': '{"models": ["tiny"]}', 'notes.txt': 'x' };

test('an engine of compiled Rego gets neither the texts nor the files', { skip }, async (t) => {
  const { policy } = await preparePolicy({ path: await makeDirectory(t, files), entrypoint: 'a', toolchain });
  assert.ok(policy.wasm !== undefined);
  assert.deepEqual([policy.modules, policy.files.size], [{}, 0]);
});

test('an engine of Rego gets tested texts with what is known of them, and nothing compiled', { skip }, async (t) => {
  const path = await makeDirectory(t, files);
  const prepared = await preparePolicy({ path, entrypoint: 'a', toolchain, needs: 'rego' });
  const { policy, testsPassed, kind } = prepared;
  assert.deepEqual([kind, testsPassed], ['directory', 1]);
  assert.deepEqual(policy.modules, { 'a/a.rego': rego });
  assert.deepEqual([policy.wasm, policy.files.size, policy.data], [undefined, 0, { models: ['tiny'] }]);
  assert.deepEqual(policy.reads, { all: false, members: new Set(['model']) });
  assert.deepEqual([[...policy.shapes], policy.deterministic], [[['a', 'allow']], true]);
});

test('the revision is that of the files, whatever the engine', { skip }, async (t) => {
  const path = await makeDirectory(t, files);
  const revisions = await Promise.all(
    (['wasm', 'rego'] as const).map(async (needs) => {
      const { policy } = await preparePolicy({ path, entrypoint: 'a', toolchain, needs });
      return policy.revision;
    }),
  );
  assert.equal(revisions[0], revisions[1]);
});

test('Rego whose tests fail is refused for an engine of Rego too', { skip }, async (t) => {
  const path = await makeDirectory(t, { ...files, 'data.json': '{"models": []}' });
  const { faults } = await policyErrorOf(preparePolicy({ path, entrypoint: 'a', toolchain, needs: 'rego' }));
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['test_failed'],
  );
});

test('an engine of other files gets every file as it is, and the tool chain is not asked', async (t) => {
  const path = await makeDirectory(t, { 'p/a.cedar': 'permit;', 'b.mjs': 'export {};', 'data.json': 'no JSON' });
  const { policy, kind } = await preparePolicy({ path, entrypoint: 'a', toolchain: none, needs: 'files' });
  const texts = [...policy.files].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]);
  assert.deepEqual(texts.toSorted(), [
    ['b.mjs', 'export {};'],
    ['data.json', 'no JSON'],
    ['p/a.cedar', 'permit;'],
  ]);
  assert.equal(kind, 'directory');
  assert.match(policy.revision, /^[0-9a-f]{12}$/);
  assert.deepEqual([policy.reads.all, policy.deterministic], [true, false]);
});

test('one file can be a policy, and another content is another revision', async (t) => {
  const prepare = async (text: string) => {
    const path = join(await makeDirectory(t, { 'policy.mjs': text }), 'policy.mjs');
    return preparePolicy({ path, entrypoint: 'a', toolchain: none, needs: 'files' });
  };
  const [first, second] = [await prepare('export const x = 1;'), await prepare('export const x = 2;')];
  assert.deepEqual([first.kind, [...first.policy.files.keys()]], ['file', ['policy.mjs']]);
  assert.notEqual(first.policy.revision, second.policy.revision);
});

test('an engine without local files reads nothing, not even the path', async () => {
  const { policy, kind } = await preparePolicy({ path: '/nowhere', entrypoint: 'a', toolchain: none, needs: 'none' });
  assert.deepEqual([kind, policy.revision, policy.reads.all, policy.entrypoints], ['none', '', true, ['a']]);
});

test('a path that is not there is refused where files are needed', async () => {
  for (const needs of ['files', 'rego', 'wasm'] as const) {
    const { message } = await policyErrorOf(
      preparePolicy({ path: '/nowhere/at/all', entrypoint: 'a', toolchain: none, needs }),
    );
    assert.match(message, /can't be read\. Check policy\.path/);
  }
});
