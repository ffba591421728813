import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { reads, shapes } from './toolchain-cases.ts';
import { noModule, startToolchain } from './toolchain-fixture.ts';

const toolchain = startToolchain({ after });

for (const [name, rego, all, members] of reads) {
  test(name, { skip: noModule }, async () => {
    const found = await toolchain.inspect({ modules: { 'a.rego': `package a\n\n${rego}\n` }, data: { x: 1 } });
    assert.deepEqual(found.reads, { all, members });
  });
}

for (const [name, rego, entrypoint, shape, data] of shapes) {
  test(name, { skip: noModule }, async () => {
    const found = await toolchain.inspect({ modules: { 'a.rego': rego }, data: data ?? {}, entrypoints: [entrypoint] });
    assert.deepEqual(found.shapes, { [entrypoint]: shape });
  });
}

test('codes, entrypoints, annotations and built-ins are listed, those of tests not', { skip: noModule }, async () => {
  const modules = {
    'a.rego': `# METADATA
# title: Roles
# description: What roles may do.
# entrypoint: true
package ollama.authz

# METADATA
# title: No cloud
# custom:
#   code: cloud_model
#   remediation: Ask for a local model.
deny contains "cloud" if {
	input.model_ref.source == "cloud"
	time.now_ns() > 0
	startswith(input.model, "gpt")
}
`,
    'a_test.rego': '# METADATA\n# custom:\n#   code: of_a_test\npackage a_test\n\ntest_x if uuid.rfc4122("x")',
  };
  const found = await toolchain.inspect({ modules, data: {} });
  assert.deepEqual(found.packages, ['ollama/authz']);
  assert.deepEqual(found.rules, ['ollama/authz/deny']);
  assert.deepEqual(found.declaredEntrypoints, ['ollama/authz']);
  assert.deepEqual(found.codes, ['cloud_model']);
  assert.deepEqual(found.builtins, ['startswith', 'time.now_ns']);
  assert.deepEqual(found.nondeterministicBuiltins, ['time.now_ns']);
  assert.deepEqual(found.annotations[1], {
    scope: 'rule',
    path: 'ollama/authz/deny',
    file: 'a.rego',
    row: 7,
    title: 'No cloud',
    entrypoint: false,
    custom: { code: 'cloud_model', remediation: 'Ask for a local model.' },
  });
});

const logRules = `package system.log

mask contains "/input/x" if walk(input, [_, "secret"])
drop if time.now_ns() == 0
`;

test('what is asked of the log of decisions is no part of what decides', { skip: noModule }, async () => {
  const modules = { 'a.rego': 'package ollama.authz\n\nallow if input.model == data.model\n', 'log.rego': logRules };
  const found = await toolchain.inspect({ modules, data: {} });
  assert.deepEqual(found.reads, { all: false, members: ['model'] });
  assert.deepEqual([found.builtins, found.nondeterministicBuiltins], [[], []]);
  assert.deepEqual(found.rules, ['ollama/authz/allow', 'system/log/drop', 'system/log/mask']);
});

for (const rule of [
  'allow if data.system.log.drop',
  'allow if data["system"].log.drop',
  'allow if data[input.x].log.drop',
  'import data.system\n\nallow if system.log.drop',
  'import data.system.log\n\nallow if log.drop',
  'allow if data.a.x with data.b as data.system',
]) {
  test(`what refers to the rules of the log, or may, reads what they read: ${rule}`, { skip: noModule }, async () => {
    const modules = { 'a.rego': `package ollama.authz\n\n${rule}\n`, 'log.rego': logRules };
    const found = await toolchain.inspect({ modules, data: { a: { x: true }, b: {} } });
    assert.equal(found.reads.all, true);
    assert.deepEqual(found.nondeterministicBuiltins, ['time.now_ns']);
  });
}
