import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { PolicyError } from '../../src/errors.ts';
import type { Toolchain } from '../../src/policy/toolchain/protocol.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { buildOpaCli } from '../support/opa-cli.ts';
import { reads, refused, shapes } from './toolchain-cases.ts';
import { denyList } from './toolchain-fixture.ts';

const skip =
  spawnSync('go', ['version']).error === undefined ? false : 'the opa command is built here, and Go is missing';

let command = '';
let toolchain: Toolchain;

before(
  async () => {
    if (skip !== false) return;
    command = await buildOpaCli();
    toolchain = createToolchain({ path: dirname(command), wasmFile: '/nowhere/opa.wasm' });
  },
  { timeout: 600_000 },
);

test('an opa on the PATH stands in where the module is missing', { skip }, () => {
  assert.equal(toolchain.kind, 'opa');
});

test('by the command a compiled policy decides as its Rego says', { skip }, async () => {
  const modules = { '../policies/authz.rego': denyList, 'broken_test.rego': 'package x\n\ntest_x if nobody' };
  const { wasm, entrypoints, inspection } = await toolchain.compile({
    modules,
    data: { unused: 1 },
    entrypoints: ['behavry/authz'],
    optionalEntrypoints: ['ollama/response'],
  });
  assert.deepEqual(entrypoints, ['behavry/authz']);
  assert.deepEqual(inspection.shapes, { 'behavry/authz': 'deny_list' });
  const policy = await loadPolicy(Uint8Array.from(wasm).buffer);
  const input = { mcp_server: 'ollama-proxy', agent_role: 'intern' };
  assert.deepEqual(policy.evaluate({ ...input, model: 'mistral' }, 'behavry/authz'), [{ result: { deny: true } }]);
  assert.deepEqual(policy.evaluate({ ...input, model: 'tiny' }, 'behavry/authz'), [{ result: {} }]);
});

for (const { name, rego, data, entrypoint, fault } of refused) {
  test(`by the command ${name}`, { skip }, async () => {
    const request = { modules: { 'policies/a.rego': rego }, data: data ?? {}, entrypoints: [entrypoint ?? 'a'] };
    await assert.rejects(toolchain.compile(request), (error) => {
      assert.ok(error instanceof PolicyError);
      assert.partialDeepStrictEqual(error.faults[0], fault);
      return true;
    });
  });
}

for (const [name, rego, all, members] of reads) {
  test(`by the command ${name}`, { skip }, async () => {
    const found = await toolchain.inspect({ modules: { 'a.rego': `package a\n\n${rego}\n` }, data: { x: 1 } });
    assert.deepEqual(found.reads, { all, members });
  });
}

for (const [name, rego, entrypoint, shape, data] of shapes) {
  test(`by the command ${name}`, { skip }, async () => {
    const found = await toolchain.inspect({ modules: { 'a.rego': rego }, data: data ?? {}, entrypoints: [entrypoint] });
    assert.deepEqual(found.shapes, { [entrypoint]: shape });
  });
}

test('the command lists codes, entrypoints, annotations and built-ins', { skip }, async () => {
  const modules = {
    'p/a.rego': `# METADATA
# entrypoint: true
package ollama.authz

# METADATA
# title: No cloud
# custom:
#   code: cloud_model
deny contains "cloud" if {
	input.model_ref.source == "cloud"
	time.now_ns() > 0
	startswith(input.model, "gpt")
}
`,
  };
  const found = await toolchain.inspect({ modules, data: {} });
  assert.deepEqual(found.packages, ['ollama/authz']);
  assert.deepEqual(found.rules, ['ollama/authz/deny']);
  assert.deepEqual(found.declaredEntrypoints, ['ollama/authz']);
  assert.deepEqual(found.codes, ['cloud_model']);
  assert.deepEqual(found.builtins, ['startswith', 'time.now_ns']);
  assert.deepEqual(found.nondeterministicBuiltins, ['time.now_ns']);
  assert.partialDeepStrictEqual(found.annotations[1], {
    path: 'ollama/authz/deny',
    file: 'p/a.rego',
    title: 'No cloud',
  });
});

test('the command runs Rego tests with their data and tells where they stand', { skip }, async () => {
  const modules = {
    'p/a.rego': denyList,
    'p/a_test.rego':
      'package a_test\n\ntest_data if data.roles.intern\n\ntest_fails if {\n\tprint("seen")\n\tfalse\n}\n\ntodo_test_later if false\n',
  };
  const { passed, cases } = await toolchain.test({ modules, data: { roles: { intern: true } } });
  assert.equal(passed, false);
  assert.deepEqual(
    cases.map(({ name, outcome, file, row }) => ({ name, outcome, file, row })),
    [
      { name: 'test_data', outcome: 'pass', file: 'p/a_test.rego', row: 3 },
      { name: 'test_fails', outcome: 'fail', file: 'p/a_test.rego', row: 5 },
      { name: 'todo_test_later', outcome: 'skip', file: 'p/a_test.rego', row: 10 },
    ],
  );
  assert.match(cases[1]?.output ?? '', /seen/);
});

test('the command measures coverage', { skip }, async () => {
  const modules = {
    'a.rego': 'package a\n\nallow if input.x == 1\n\nallow if {\n\tinput.x == 2\n\tinput.y == 3\n}\n',
    'a_test.rego': 'package a_test\n\ntest_one if data.a.allow with input as {"x": 1}\n',
  };
  const { coverage } = await toolchain.test({ modules, data: {}, coverage: true });
  assert.deepEqual(Object.keys(coverage?.files ?? {}), ['a.rego']);
  assert.ok(coverage !== undefined && coverage.percent > 0 && coverage.percent < 100);
});

test('a policy without tests passes them', { skip }, async () => {
  assert.deepEqual(await toolchain.test({ modules: { 'a.rego': denyList }, data: {} }), { passed: true, cases: [] });
});

test('the command checks against schemas, package system apart', { skip }, async () => {
  const input = { type: 'object', properties: { model: { type: 'string' } }, additionalProperties: false };
  const modules = {
    'a.rego': 'package a\n\nallow if input.modle == "tiny"',
    's.rego': 'package system.log\n\nmask := input.x',
  };
  const { faults } = await toolchain.check({ modules, data: {}, schemas: { input } });
  assert.deepEqual(
    faults.map(({ code, file, row }) => ({ code, file, row })),
    [{ code: 'rego_type_error', file: 'a.rego', row: 3 }],
  );
  const system = { modules: { 's.rego': modules['s.rego'] }, data: {}, schemas: { input } };
  assert.deepEqual((await toolchain.check(system)).faults, []);
});

test('the command formats', { skip }, async () => {
  const { modules, changed, faults } = await toolchain.format({
    modules: { 'messy.rego': 'package  messy\nallow if   input.x', 'bad.rego': 'package bad\n\np if {' },
  });
  assert.deepEqual(modules, { 'messy.rego': 'package messy\n\nallow if input.x\n' });
  assert.deepEqual(changed, ['messy.rego']);
  assert.partialDeepStrictEqual(faults[0], { code: 'rego_parse_error', file: 'bad.rego', row: 3 });
});

test('a command that does not end is ended', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10 }));
  // A stand-in for an opa that hangs.
  await writeFile(join(directory, 'opa'), '#!/bin/sh\nexec /bin/sleep 60\n');
  await chmod(join(directory, 'opa'), 0o755);
  const slow = createToolchain({ path: directory, wasmFile: '/nowhere/opa.wasm', deadlineMs: 200 });
  await assert.rejects(slow.check({ modules: { 'a.rego': denyList }, data: {} }), (error) => {
    assert.ok(error instanceof PolicyError);
    assert.equal(error.faults[0]?.code, 'toolchain_timeout');
    return true;
  });
});
