/** `opallama check`, run as people and CI run it. What it finds, and that it finds nothing where there is nothing. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama } from './command.ts';

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

test('a slip is shown with its code, its line and what may be meant', { skip }, async (t) => {
  const directory = await makeDirectory(t, {
    'a.rego': `package a\n\n${described}allow if input.operation == "chta"\n`,
  });
  const { code, stdout } = await opallama(['check', directory]);
  assert.equal(code, 1);
  assert.match(stdout, /a\.rego:6:10: error near_value: input\.operation is never "chta" \(did you mean "chat"\?\)/);
  assert.match(stdout, /^6 \| allow if input\.operation == "chta"$/m);
});

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
