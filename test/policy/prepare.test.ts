/** From files to a policy that can be loaded: what is wrong with it is said with its place, before it can decide anything. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { policyInput } from '../decision/input.ts';
import { buildOpaCli } from '../support/opa-cli.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';
import { noModule } from './toolchain-fixture.ts';

const run = promisify(execFile);
const toolchain = createToolchain({ path: undefined });
const skip = noModule;
after(() => toolchain.close());

const rego = `# METADATA
# title: a
package a

default allow := false

# METADATA
# title: who may
# custom:
#   code: not_listed
allow if input.model in data.models
`;
const tests = `package a_test

import data.a

test_allows_listed if a.allow with input as {"model": "tiny"}

test_denies_other if not a.allow with input as {"model": "x"}
`;
const files = { 'a/a.rego': rego, 'a/a_test.rego': tests, 'data.json': '{"models": ["tiny"]}' };

async function prepare(
  t: Parameters<typeof makeDirectory>[0],
  given: Readonly<Record<string, string>>,
  entrypoint = 'a',
) {
  return preparePolicy({ path: await makeDirectory(t, given), entrypoint, toolchain });
}

async function decides(prepared: Awaited<ReturnType<typeof preparePolicy>>): Promise<void> {
  const loaded = await createWasmEngine().load(prepared.policy);
  assert.deepEqual(await loaded.evaluate('a', policyInput({ model: 'tiny' })), [{ allow: true }]);
  assert.deepEqual(await loaded.evaluate('a', policyInput({ model: 'x' })), [{ allow: false }]);
}

test('a directory is tested, compiled and described', { skip }, async (t) => {
  const prepared = await prepare(t, files);
  assert.equal(prepared.testsPassed, 2);
  const { reads, shapes, codes, entrypoints, data, revision } = prepared.policy;
  assert.deepEqual(reads, { all: false, members: new Set(['model']) });
  assert.deepEqual([...shapes], [['a', 'allow']]);
  assert.deepEqual([...codes], ['not_listed']);
  assert.deepEqual(entrypoints, ['a']);
  assert.deepEqual(data, { models: ['tiny'] });
  assert.match(revision, /^[0-9a-f]{12}$/);
  await decides(prepared);
});

test('the revision is the same wherever the files lie, and another when any of them changes', { skip }, async (t) => {
  const revision = async (given: Readonly<Record<string, string>>) => (await prepare(t, given)).policy.revision;
  const first = await revision(files);
  assert.equal(await revision(files), first);
  assert.notEqual(
    await revision({ ...files, 'data.json': '{"models": ["tony"]}', 'a/a_test.rego': '' }).catch(String),
    first,
  );
  assert.notEqual(await revision({ ...files, 'a/a.rego': `${rego}# more\n` }), first);
});

test('Rego tests that fail stop it, each with file and row', { skip }, async (t) => {
  const failing = `${tests}\ntest_wrong if a.allow with input as {"model": "x"}\n`;
  const { faults, message } = await policyErrorOf(prepare(t, { ...files, 'a/a_test.rego': failing }));
  assert.deepEqual(
    faults.map(({ code, file, row }) => [code, file, row]),
    [['test_failed', 'a/a_test.rego', 9]],
  );
  assert.match(message, /own tests fail/);
  assert.match(message, /a\/a_test\.rego:9:1: test_failed: data\.a_test\.test_wrong/);
});

test('a Rego test that ends in an error stops it', { skip }, async (t) => {
  const conflict = `${tests}\np := 1 if input.x\n\np := 2 if input.x\n\ntest_conflict if p == 1 with input as {"x": true}\n`;
  const { faults } = await policyErrorOf(prepare(t, { ...files, 'a/a_test.rego': conflict }));
  assert.deepEqual(
    faults.map(({ code, file, row }) => [code, file, row]),
    [['test_error', 'a/a_test.rego', 13]],
  );
});

test('the tests see the data of the policy', { skip }, async (t) => {
  const { faults } = await policyErrorOf(prepare(t, { ...files, 'data.json': '{"models": []}' }));
  assert.deepEqual(
    faults.map(({ row }) => row),
    [5],
  );
});

test('a syntax error is named with file and row, also in a test', { skip }, async (t) => {
  const first = await policyErrorOf(
    prepare(t, { ...files, 'a/a.rego': 'package a\n\nallow if {\n\tinput.model ==\n}\n' }),
  );
  assert.deepEqual([first.faults[0]?.code, first.faults[0]?.file], ['rego_parse_error', 'a/a.rego']);
  assert.ok([4, 5].includes(first.faults[0]?.row ?? 0), first.message);
  const inTest = await policyErrorOf(prepare(t, { ...files, 'a/a_test.rego': 'package a_test\n\ntest_x if if\n' }));
  assert.deepEqual([inTest.faults[0]?.file, inTest.faults[0]?.row], ['a/a_test.rego', 3]);
});

test('a name that does not exist is named with file and row', { skip }, async (t) => {
  const { faults } = await policyErrorOf(prepare(t, { 'a.rego': 'package a\n\nallow if nobody_knows(input)\n' }));
  assert.deepEqual([faults[0]?.code, faults[0]?.file, faults[0]?.row], ['rego_type_error', 'a.rego', 3]);
});

test('an entrypoint that does not exist is refused', { skip }, async (t) => {
  for (const entrypoint of ['b', 'a/nothing', '']) {
    const { faults, message } = await policyErrorOf(prepare(t, files, entrypoint));
    assert.equal(faults[0]?.code, 'unknown_entrypoint', message);
  }
});

test('a rule that denies is no entrypoint: its true would allow', async (t) => {
  for (const entrypoint of ['a/deny', 'x/y/denied', 'a/denial']) {
    const { message } = await policyErrorOf(prepare(t, files, entrypoint));
    assert.match(message, /its "true" would allow\. Name its package/);
  }
});

test('data where a rule stands is a conflict', { skip }, async (t) => {
  const error = await policyErrorOf(
    prepare(t, { 'a.rego': 'package a\n\nallow := true\n', 'a/data.json': '{"allow": false}' }),
  );
  assert.ok(error.faults.length > 0, error.message);
});

const noGo =
  spawnSync('go', ['version']).error === undefined ? false : 'the opa command is built here, and Go is missing';
let opa = '';
before(
  async () => {
    if (noGo === false) opa = await buildOpaCli();
  },
  { timeout: 600_000 },
);

async function opaBuild(t: Parameters<typeof makeDirectory>[0], ...args: readonly string[]): Promise<string> {
  const directory = await makeDirectory(t, files);
  const bundle = join(await makeDirectory(t, {}), 'bundle.tar.gz');
  await run(opa, ['build', '-b', directory, '-o', bundle, '--revision', 'v7', ...args]);
  return bundle;
}

test('a bundle that OPA compiled decides without a tool chain', { skip: noGo }, async (t) => {
  const none = createToolchain({ path: undefined, wasmFile: '/nowhere' });
  const path = await opaBuild(t, '-t', 'wasm', '-e', 'a');
  const prepared = await preparePolicy({ path, entrypoint: 'a', toolchain: none });
  assert.equal(none.kind, 'none');
  assert.equal(prepared.policy.revision, 'v7');
  assert.equal(prepared.testsPassed, 0);
  assert.equal(prepared.policy.reads.all, true, 'nothing says what it reads, so it is given everything');
  await decides(prepared);
});

test('a bundle of Rego that OPA made is tested and compiled here', { skip: noGo || skip }, async (t) => {
  const prepared = await preparePolicy({ path: await opaBuild(t), entrypoint: 'a', toolchain });
  assert.equal(prepared.kind, 'bundle');
  assert.equal(prepared.policy.revision, 'v7');
  assert.equal(prepared.testsPassed, 2);
  assert.equal(prepared.policy.reads.all, false);
  await decides(prepared);
});

test('bundles that OPA made are refused when they were cut short', { skip: noGo }, async (t) => {
  for (const args of [['-t', 'wasm', '-e', 'a'], []]) {
    const path = await opaBuild(t, ...args);
    const bytes = await readFile(path);
    for (const part of [0.1, 0.5, 0.9, 0.999]) {
      await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * part)));
      const { message } = await policyErrorOf(preparePolicy({ path, entrypoint: 'a', toolchain }));
      assert.match(message, /Was it cut short\?/);
    }
  }
});

test('an entrypoint that a compiled bundle does not have shows when it is loaded', { skip: noGo }, async (t) => {
  const path = await opaBuild(t, '-t', 'wasm', '-e', 'a/allow');
  const { policy } = await preparePolicy({ path, entrypoint: 'a', toolchain });
  const { entrypoints } = await createWasmEngine().load(policy);
  assert.deepEqual([entrypoints.includes('a/allow'), entrypoints.includes('a')], [true, false]);
});
