import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { denyList, noModule, startToolchain } from './toolchain-fixture.ts';

const toolchain = startToolchain({ after });

const reads: ReadonlyArray<readonly [name: string, rego: string, all: boolean, members: readonly string[]]> = [
  ['members are read by name', 'p if { input.model == "x"; input["agent_role"] }', false, ['agent_role', 'model']],
  ['only the first step counts', 'p if input.options[input.key].x', false, ['key', 'options']],
  ['members are found in comprehensions', 'p := {x | x := input.tools[_]}', false, ['tools']],
  ['members are found in heads and defaults', 'p[input.model] := input.method', false, ['method', 'model']],
  ['members are found in text with values', 'p := $"{input.messages}"', false, ['messages']],
  ['members are found in an else', 'p := 1 if input.a else := input.b', false, ['a', 'b']],
  ['an import of a member is a read of it', 'import input.principal as who\n\np if who.id', false, ['principal']],
  ['an import of the input reads nothing by itself', 'p if every t in input.tools { t != "x" }', false, ['tools']],
  ['a member may be handed to a function', 'f(x) := x\n\np := f(input.model)', false, ['model']],
  ['walk over a member reads that member', 'p if walk(input.options, [_, 1])', false, ['options']],
  ['a policy without input reads none', 'p := data.x', false, []],
  ['a bare input reads everything', 'p if { x := input; x.messages }', true, []],
  ['an import of the whole input reads everything', 'import input as asked\n\np if asked.messages', true, []],
  ['a first step that is a variable reads everything', 'p if { some k; input[k] }', true, []],
  ['a first step that is computed reads everything', 'p if input[concat("", ["mess", "ages"])]', true, []],
  ['a first step that is a member reads everything', 'p if input[input.key]', true, ['key']],
  ['walk over the input reads everything', 'p if walk(input, [_, "x"])', true, []],
  ['the input handed to a function reads everything', 'f(x) := x.messages\n\np := f(input)', true, []],
  ['the input handed to a built-in reads everything', 'p if object.get(input, "messages", 1)', true, []],
  ['input replaced as a whole reads everything', 'q if input.a\n\np if q with input as {"a": 1}', true, ['a']],
  ['a member replaced reads everything', 'q if input.a\n\np if q with input.b as 1', true, ['a', 'b']],
  ['the input in an object reads everything', 'p := {"x": input}', true, []],
];

for (const [name, rego, all, members] of reads) {
  test(name, { skip: noModule }, async () => {
    const found = await toolchain.inspect({ modules: { 'a.rego': `package a\n\n${rego}\n` }, data: { x: 1 } });
    assert.deepEqual(found.reads, { all, members });
  });
}

const shapes: ReadonlyArray<
  readonly [name: string, rego: string, entrypoint: string, shape: string, data?: Readonly<Record<string, unknown>>]
> = [
  ['an existing policy with a lone deny is a deny-list', denyList, 'behavry/authz', 'deny_list'],
  ['an entrypoint that names a rule is a rule', denyList, 'behavry/authz/deny', 'rule'],
  ['a set of denials is a deny-list', 'package a\n\ndeny contains "x" if input.x', 'a', 'deny_list'],
  ['allow beside deny is no deny-list', 'package a\n\ndeny if input.x\n\nallow if input.y', 'a', 'allow'],
  ['allowed counts as allow', 'package a\n\nallowed if input.y\n\ndeny if input.x', 'a', 'allow'],
  ['an allow in data is no deny-list', 'package a\n\ndeny if input.x', 'a', 'allow', { a: { allow: true } }],
  ['a package below that is named deny is no deny-list', 'package a.deny\n\nx if input.x', 'a', 'unknown'],
  ['a package of other rules is unknown', 'package a\n\nviolation if input.x', 'a', 'unknown'],
  ['an entrypoint that does not exist is unknown', 'package a\n\ndeny if input.x', 'b', 'unknown'],
  ['a function deny is no deny-list', 'package a\n\ndeny(x) := x\n\np if deny(true)', 'a', 'unknown'],
];

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
