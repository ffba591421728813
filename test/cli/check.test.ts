/** `opallama check`, run as people and CI run it. What it finds, and that it finds nothing where there is nothing. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama, root } from './command.ts';

const skip = noModule;

interface Finding {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly row: number;
  readonly column: number;
}

/** A rule with METADATA, so that nothing but what stands in it can be found. */
const described = '# METADATA\n# title: t\n# description: d\n';

async function check(t: TestContext, files: Readonly<Record<string, string>>, ...options: readonly string[]) {
  const directory = await makeDirectory(t, files);
  const { code, stdout, stderr } = await opallama(['check', directory, '--format', 'json', ...options]);
  assert.notEqual(stdout, '', stderr);
  const report: { readonly ok: boolean; readonly policies: ReadonlyArray<{ readonly findings: readonly Finding[] }> } =
    JSON.parse(stdout);
  return { code, ok: report.ok, findings: report.policies.flatMap(({ findings }) => findings) };
}

function brief(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ severity, code, row }) => `${severity} ${code} ${row}`);
}

test('nothing is found in the shipped policies, not even a warning', { skip }, async () => {
  const { code, stdout } = await opallama(['check', 'policies', '--strict']);
  assert.match(stdout, /Nothing found/);
  assert.equal(code, 0);
});

for (const template of readdirSync(join(root, 'templates'))) {
  test(`nothing is found in the template ${template}, not even a warning`, { skip }, async () => {
    const { code, stdout } = await opallama(['check', join('templates', template), '--strict']);
    assert.match(stdout, /Nothing found/);
    assert.equal(code, 0);
  });
}

test('a policy of another system has its members, warnings and no error', { skip }, async (t) => {
  const rego = `package other\n\n${described}deny if input.department == "x"\n`;
  const warned = await check(t, { 'a.rego': rego });
  assert.deepEqual(brief(warned.findings), ['warning rego_type_error 6']);
  assert.equal(warned.code, 0);
  assert.equal((await check(t, { 'a.rego': rego }, '--strict')).code, 1);
  assert.deepEqual((await check(t, { 'a.rego': rego }, '--schema', 'off', '--strict')).findings, []);
  const strict = await check(t, { 'a.rego': rego }, '--schema', 'strict');
  assert.deepEqual(brief(strict.findings), ['error rego_type_error 6']);
  assert.equal(strict.code, 1);
});

test('package system reads its input by a contract of its own', { skip }, async (t) => {
  const files = {
    'a.rego': `package a\n\n${described}allow if input.model == "x"\n`,
    'system.rego': 'package system.log\n\nmask contains "/input/x" if input.input.modle\n\nx if input.modle == "a"\n',
  };
  assert.deepEqual((await check(t, files, '--entrypoint', 'a', '--schema', 'strict')).findings, []);
});

test('a fault of the compiler is shown with its line and a caret', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a/a.rego': 'package a\n\nallow if {\n\tinput.model == nobody\n}\n' });
  const { code, stdout } = await opallama(['check', directory]);
  assert.equal(code, 1);
  const place = `${join(directory, 'a/a.rego')}:4:2`;
  assert.ok(
    stdout.startsWith(`${place}: error rego_unsafe_var_error: var nobody is unsafe\n4 | \tinput.model == nobody\n`),
  );
  assert.match(stdout, /^ {2}\| \t\^$/m);
  assert.match(stdout, /^1 error$/m);
});

const slips: ReadonlyArray<readonly [name: string, rego: string, found: readonly string[], said: RegExp]> = [
  ['alow', 'alow := true', ['error near_rule 6'], /did you mean allow\?/],
  ['denny', 'denny contains "x y" if input.stream', ['error near_rule 6'], /did you mean deny\?/],
  ['obligation', 'obligation := {}', ['error near_rule 6'], /did you mean obligations\?/],
  ['http_stat', 'http_stat := 403', ['error near_rule 6'], /did you mean http_status\?/],
  ['httpStatus', 'httpStatus := 403', ['error near_rule 6'], /did you mean http_status\?/],
  ['input.modle', 'allow if input.modle == "x"', ['error near_input 6'], /did you mean input\.model\?/],
  ['input.agentrole', 'allow if input.agentrole == "x"', ['error near_input 6'], /did you mean input\.agent_role\?/],
  [
    'a member below a member',
    'allow if input.principal.role == "x"',
    ['error near_input 6'],
    /did you mean input\.principal\.roles\?/,
  ],
  [
    'a member of each of a list',
    'allow if input.model_refs[_].sorce == "local"',
    ['error near_input 6'],
    /did you mean input\.model_refs\[_\]\.source\?/,
  ],
  [
    'an operation that there is not',
    'allow if input.operation == "chta"',
    ['error near_value 6'],
    /never "chta" \(did you mean "chat"\?\): this never holds/,
  ],
  [
    'a negated comparison, which then always holds',
    'allow if not input.operation == "chta"',
    ['error near_value 6'],
    /this always holds/,
  ],
  ['a comparison the other way round', 'allow if "opneai" == input.api', ['error near_value 6'], /never "opneai"/],
  ['a value of a set', 'allow if input.operation in {"chat", "generat"}', ['error near_value 6'], /never "generat"/],
  [
    'a value that is near to none',
    'allow if input.api == "azure"',
    ['warning impossible_value 6'],
    /it is one of ollama/,
  ],
  ['a body that is false', 'allow if false', ['warning never_holds 6'], /never true/],
  ['a comparison of constants', 'allow if "a" == "b"', ['warning never_holds 6'], /never true/],
  [
    'two values at once',
    'deny if {\n\tinput.api == "ollama"\n\tinput.api == "openai"\n}',
    ['error contradiction 8'],
    /deny can't hold: .*input\.api/,
  ],
  ['a value and its denial', 'deny if {\n\tinput.raw\n\tnot input.raw\n}', ['error contradiction 8'], /input\.raw/],
  [
    'a comparison and its denial',
    'deny if {\n\tinput.model == "a"\n\tnot input.model == "a"\n}',
    ['error contradiction 8'],
    /input\.model/,
  ],
  [
    'an empty interval',
    'deny if {\n\tinput.message_count > 5\n\tinput.message_count <= 5\n}',
    ['error contradiction 8'],
    /message_count/,
  ],
  [
    'two values of a variable',
    'deny if {\n\tsome ref in input.model_refs\n\tref.name == "a"\n\tref.name == "b"\n}',
    ['error contradiction 9'],
    /ref\.name/,
  ],
  ['a reason without a code', 'deny contains {"msg": "x"}', ['error reason_malformed 6'], /policy_malformed/],
  ['a code that is none', 'deny contains {"code": "Not one"}', ['error reason_malformed 6'], /"Not one"/],
  ['a code that nobody declares', 'deny contains {"code": "x_y"}', ['warning code_undeclared 6'], /x_y/],
];

for (const [name, rule, expected, said] of slips) {
  test(`found: ${name}`, { skip }, async (t) => {
    const { findings, code } = await check(t, { 'a.rego': `package a\n\n${described}${rule}\n` });
    assert.deepEqual(brief(findings), expected);
    assert.match(findings[0]?.message ?? '', said);
    assert.equal(code, expected[0]?.startsWith('error') === true ? 1 : 0);
  });
}

const meant: ReadonlyArray<readonly [name: string, rego: string]> = [
  ['private helpers may have any name', '_alow if input.model'],
  [
    'functions are no part of a decision',
    'alow(x) if x\n\n# METADATA\n# title: t\n# description: d\nallow if alow(input.raw)',
  ],
  ['two elements are two values', 'deny if {\n\tinput.tools[_] == "a"\n\tinput.tools[_] == "b"\n}'],
  ['two elements by two variables', 'deny if {\n\tsome i, j\n\tinput.tools[i] == "a"\n\tinput.tools[j] == "b"\n}'],
  ['another input is another value', 'deny if {\n\tinput.raw\n\tnot input.raw with input.raw as false\n}'],
  ['an interval that is not empty', 'deny if {\n\tinput.message_count >= 5\n\tinput.message_count <= 5\n}'],
  ['unequal to two values', 'deny if {\n\tinput.model != "a"\n\tinput.model != "b"\n\tnot input.model == "c"\n}'],
  ['free objects have any member', 'deny if input.principal.claims.rolse == "x"'],
  ['a value from elsewhere', 'deny if input.operation == data.operation'],
  ['every operation', 'deny if input.operation in {"chat", "models.pull", "root"}'],
  ['a default', 'default allow := false'],
];

for (const [name, rule] of meant) {
  test(`not found: ${name}`, { skip }, async (t) => {
    const { findings } = await check(t, { 'a.rego': `package a\n\n${described}${rule}\n` }, '--strict');
    assert.deepEqual(findings, []);
  });
}

test('rules that no entrypoint needs are found, of the package and of another one', { skip }, async (t) => {
  const files = {
    'a.rego': `package a\n\nimport data.b\n\n${described}allow if b.used\n`,
    'b.rego': 'package b\n\nused if _helper(1)\n\n_helper(x) if x == 1\n\nforgotten if input.raw\n\nold(x) if x\n',
    'c.rego': 'package c\n\none := 1\n\ntwo := 2\n',
    'b_test.rego': 'package b_test\n\nimport data.b\n\ntest_x if b.forgotten with input as {"raw": true}\n',
    'lib.rego': 'package opallama.lib.globs\n\nunused := 1\n',
  };
  const { findings, code } = await check(t, files, '--entrypoint', 'a');
  assert.deepEqual(
    findings.map(({ code: found, file, row }) => `${found} ${file.split('/').at(-1)}:${row}`),
    ['unreachable b.rego:7', 'unreachable b.rego:9', 'unreachable c.rego:1'],
  );
  assert.equal(code, 0);
});

test('rules of the entrypoint without title or description are found, and METADATA that says nothing', {
  skip,
}, async (t) => {
  const rego = `package a

# METADATA
# title: only a title
allow if input.raw

deny contains "x y" if input.raw

# METADATA
# scope: document
# title: t
# description: of all of them
default http_status := 403

http_status := 404 if input.raw

# METADATA
# title: t
# description: d
# custom:
#   code: Not A Code
#   remediaton: x
body := {}
`;
  const { findings } = await check(t, { 'a.rego': rego });
  assert.deepEqual(brief(findings), [
    'warning metadata_missing 5',
    'warning metadata_missing 7',
    'error metadata_malformed 17',
    'error metadata_malformed 17',
  ]);
});

test('what WebAssembly can not be given is found too', { skip }, async (t) => {
  const rego = `package a\n\n${described}allow if http.send({"method": "get", "url": "x"}).status_code == 200\n`;
  const { findings, code } = await check(t, { 'a.rego': rego });
  assert.deepEqual(brief(findings), ['error unsupported_builtin 6']);
  assert.equal(code, 1);
});

test('an entrypoint that is not there is an error where it was named', { skip }, async (t) => {
  const files = { 'a.rego': 'package a\n\nx := 1\n', 'b.rego': 'package b\n\ny := 1\n' };
  const named = await check(t, files, '--entrypoint', 'c');
  assert.ok(brief(named.findings).some((found) => found.startsWith('error unknown_entrypoint')));
  const directory = await makeDirectory(t, files);
  assert.match((await opallama(['check', directory])).stdout, /No entrypoint is known/);
});

test('without a path the configuration and its policies are checked, with their tests', { skip }, async (t) => {
  const rego = `package mine\n\n${described}allow if input.model == "tiny"\n`;
  const yaml = (more: string) =>
    `policy: { path: mine, entrypoint: mine${more} }\nidentity: { anonymous: { roles: [guest] } }\n`;
  const files = {
    'opallama.yaml': yaml(''),
    'mine/a.rego': rego,
    'mine/a_test.rego':
      'package mine_test\n\nimport data.mine\n\ntest_x if mine.allow with input as {"model": "tiny"}\n',
  };
  const directory = await makeDirectory(t, files);
  const fine = await opallama(['check'], { cwd: directory });
  assert.match(fine.stdout, /entrypoint mine \(allow\), 1 tests passed\nConfiguration and policy are in order\.\n/);
  assert.equal(fine.code, 0);

  await writeFile(join(directory, 'mine/a.rego'), rego.replace('"tiny"', '"tinny"'));
  const failing = await opallama(['check'], { cwd: directory });
  assert.match(failing.stderr, /test_failed/);
  assert.equal(failing.code, 1);

  await writeFile(join(directory, 'mine/a.rego'), rego.replace('input.model', 'input.department'));
  await writeFile(join(directory, 'mine/a_test.rego'), 'package mine_test\n');
  const warned = await opallama(['check'], { cwd: directory });
  assert.match(warned.stdout, /^mine\/a\.rego:6:10: warning rego_type_error: undefined ref: input\.department$/m);
  assert.equal(warned.code, 0);
  await writeFile(join(directory, 'opallama.yaml'), yaml(', schema: strict'));
  assert.equal((await opallama(['check'], { cwd: directory })).code, 1);

  await writeFile(join(directory, 'opallama.yaml'), 'policy: { path: 1, engin: wasm }\n');
  const broken = await opallama(['check'], { cwd: directory });
  assert.match(broken.stderr, /did you mean policy\.engine/);
  assert.equal(broken.code, 2);
});
