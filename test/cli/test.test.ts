/** `opallama test`, run as people and CI run it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { buildOpaCli } from '../support/opa-cli.ts';
import { run as start } from '../support/running.ts';
import { opallama, root } from './command.ts';

const skip = noModule;
const rego = `package a

allow if input.x == 1

allow if {
	input.x == 2
	input.y == 3
}
`;
const passing = `package a_test

import data.a

test_one if a.allow with input as {"x": 1}
`;
const failing = `package a_test

import data.a

test_one if a.allow with input as {"x": 1}

test_two if {
	print("seen <&> \\u0007", 1)
	some x in [1, 2]
	a.allow with input as {"x": x + 7}
}

todo_test_later if false
`;

test('tests that pass end with 0 and a count', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a/a.rego': rego, 'a/a_test.rego': passing });
  const { code, stdout } = await opallama(['test', directory]);
  assert.equal(code, 0);
  assert.match(stdout, /^1 test: 1 passed/);
});

test('a failing test ends with 1, its file, the row that is not true, and what it printed', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a/a.rego': rego, 'a/a_test.rego': failing });
  const { code, stdout } = await opallama(['test', directory]);
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`^FAIL {2}${directory}/a/a_test\\.rego:10: a_test\\.test_two `, 'm'));
  assert.match(stdout, /not true: a\.allow with input as \{"x": x \+ 7\}/);
  assert.match(stdout, /\| seen <&>/);
  assert.match(stdout, /^3 tests: 1 passed, 1 failed, 1 skipped/m);
  assert.doesNotMatch(stdout, /test_one/);
});

test('--verbose lists what passes too', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': rego, 'a_test.rego': passing });
  assert.match((await opallama(['test', directory, '--verbose'])).stdout, /^PASS {2}a_test\.test_one/m);
});

test('--run chooses tests by name; one that matches none is a finding, one that is no pattern a wrong call', {
  skip,
}, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': rego, 'a_test.rego': failing });
  const chosen = await opallama(['test', directory, '--run', 'a_test\\.test_one$']);
  assert.match(chosen.stdout, /^1 test: 1 passed/);
  assert.equal(chosen.code, 0);
  const none = await opallama(['test', directory, '--run', 'nobody']);
  assert.match(none.stdout, /No test matches nobody/);
  assert.equal(none.code, 1);
  const wrong = await opallama(['test', directory, '--run', '(']);
  assert.match(wrong.stderr, /--run: .*missing closing/);
  assert.equal(wrong.code, 2);
});

test('coverage names the rows that no test reaches, and a threshold holds', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': rego, 'a_test.rego': passing });
  const covered = await opallama(['test', directory, '--coverage']);
  assert.equal(covered.code, 0);
  assert.match(covered.stdout, /a\.rego +1\/4 +25\.0 % +5-7/);
  const below = await opallama(['test', directory, '--threshold', '90']);
  assert.equal(below.code, 1);
  assert.match(below.stdout, /Coverage is 25\.0 %, below the threshold of 90\.0 %/);
  assert.equal((await opallama(['test', directory, '--threshold', '25'])).code, 0);
  assert.equal((await opallama(['test', directory, '--threshold', 'most'])).code, 2);
});

test('--format json gives every test, its place, its output and the coverage', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': rego, 'a_test.rego': failing });
  const { code, stdout } = await opallama(['test', directory, '--format', 'json', '--coverage']);
  assert.equal(code, 1);
  const file = join(directory, 'a_test.rego');
  assert.partialDeepStrictEqual(JSON.parse(stdout), {
    passed: false,
    tests: [
      { name: 'test_one', outcome: 'pass', file, row: 5 },
      { name: 'test_two', outcome: 'fail', file, row: 7, failed_at: { row: 10 } },
      { name: 'todo_test_later', outcome: 'skip' },
    ],
    coverage: { percent: 25, files: { [join(directory, 'a.rego')]: { covered_lines: 1, not_covered_lines: 3 } } },
  });
});

test('--format junit is XML that a parser reads, whatever the tests print', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': rego, 'a_test.rego': failing });
  const { code, stdout } = await opallama(['test', directory, '--format', 'junit']);
  assert.equal(code, 1);
  const report = join(directory, 'report.xml');
  await writeFile(report, stdout);
  // Python's own XML parser: none of JavaScript's is among the dependencies.
  const script = `
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
case = root.find("testsuite/testcase[@name='test_two']")
print(json.dumps({"tests": root.get("tests"), "failures": root.get("failures"), "skipped": root.get("skipped"),
  "line": case.get("line"), "failure": case.find("failure").get("message"), "out": case.find("system-out").text}))`;
  const parsed: unknown = JSON.parse((await promisify(execFile)('python3', ['-c', script, report])).stdout);
  assert.deepEqual(parsed, {
    tests: '3',
    failures: '1',
    skipped: '1',
    line: '7',
    failure: 'the test is not true: a.allow with input as {"x": x + 7}',
    out: 'seen <&> \u{FFFD} 1\n',
  });
});

test('a policy that does not compile ends with 1 and shows the line, in every format', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': 'package a\n\nallow if {\n\tinput.x == nobody\n}\n' });
  const pretty = await opallama(['test', directory]);
  assert.equal(pretty.code, 1);
  assert.match(
    pretty.stdout,
    /a\.rego:4:2: rego_unsafe_var_error: var nobody is unsafe\n4 \| \tinput\.x == nobody\n {2}\| \t\^/,
  );
  const json = await opallama(['test', directory, '--format', 'json']);
  assert.equal(json.code, 1);
  assert.partialDeepStrictEqual(JSON.parse(json.stdout), {
    passed: false,
    faults: [{ code: 'rego_unsafe_var_error', file: join(directory, 'a.rego'), row: 4 }],
  });
  const junit = await opallama(['test', directory, '--format', 'junit']);
  assert.match(junit.stdout, /errors="1"/);
});

test('without a path the configured policy is tested, and no secret is needed for it', { skip }, async (t) => {
  const directory = await makeDirectory(t, {
    'mine/a.rego': rego,
    'mine/a_test.rego': passing,
    'opallama.yaml':
      'policy: { path: mine, entrypoint: a }\nidentity: { jwt: [{ algorithm: HS256, secret_env: NOT_SET, issuer: i, audience: a }] }\n',
  });
  const { code, stdout } = await opallama(['test'], { cwd: directory });
  assert.match(stdout, /1 passed/);
  assert.equal(code, 0);
});

test('a path that is not there, or an unknown option, is a wrong call', async () => {
  const missing = await opallama(['test', 'no-such-policy']);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /nothing at no-such-policy/);
  assert.equal((await opallama(['test', '--no-such-option'])).code, 2);
});

test('--watch runs again when a file changes and ends cleanly when it is interrupted', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a/a.rego': rego, 'a/a_test.rego': passing });
  const running = start(process.execPath, ['bin/opallama.js', 'test', directory, '--watch'], { cwd: root });
  t.after(() => running.stop());
  await running.waitForLine(/1 passed/);
  await writeFile(join(directory, 'a/a_test.rego'), failing);
  await running.waitForLine(/1 passed, 1 failed/);
  await writeFile(join(directory, 'a/a_test.rego'), 'package a_test\n\nnonsense');
  await running.waitForLine(/rego_parse_error/);
  const { process: child } = running;
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve([code, signal])));
  child.kill('SIGINT');
  assert.deepEqual(await exited, [0, null]);
});

test('opa test of the same version says the same of the shipped policies', { skip }, async () => {
  const opa = await buildOpaCli();
  const [theirs, ours] = await Promise.all([
    promisify(execFile)(opa, ['test', '-b', '--format', 'json', 'policies'], { cwd: root, maxBuffer: 1 << 26 }),
    opallama(['test', 'policies', '--format', 'json']),
  ]);
  type Case = { readonly package: string; readonly name: string };
  const names = (cases: readonly Case[]): string[] => cases.map((each) => `${each.package}.${each.name}`).sort();
  const theirCases: ReadonlyArray<Case & { readonly fail?: boolean; readonly error?: unknown }> = JSON.parse(
    theirs.stdout,
  );
  const ourReport: { readonly passed: boolean; readonly tests: readonly Case[] } = JSON.parse(ours.stdout);
  assert.ok(theirCases.length > 40);
  assert.ok(theirCases.every(({ fail, error }) => fail !== true && error === undefined));
  assert.equal(ourReport.passed, true);
  assert.deepEqual(names(ourReport.tests), names(theirCases));
});

test('opa test of the same version measures the same coverage of the shipped policies', { skip }, async () => {
  const opa = await buildOpaCli();
  const [theirs, ours] = await Promise.all([
    promisify(execFile)(opa, ['test', '-b', '--coverage', '--format', 'json', 'policies'], {
      cwd: root,
      maxBuffer: 1 << 26,
    }),
    opallama(['test', 'policies', '--coverage', '--format', 'json']),
  ]);
  type Lines = { readonly covered_lines?: number; readonly not_covered_lines?: number };
  type Files = Readonly<Record<string, Lines>>;
  const lines = (files: Files): unknown =>
    Object.entries(files)
      .map(([file, each]) => [
        file.replace(/^\/?(?=policies)/, ''),
        each.covered_lines ?? 0,
        each.not_covered_lines ?? 0,
      ])
      // OPA also lists files without any line, under a path of the bundle.
      .filter(([file, covered, not]) => !String(file).endsWith('_test.rego') && covered !== not)
      .sort();
  const theirFiles: Files = JSON.parse(theirs.stdout).files;
  const ourFiles: Files = JSON.parse(ours.stdout).coverage.files;
  assert.deepEqual(lines(ourFiles), lines(theirFiles));
});
