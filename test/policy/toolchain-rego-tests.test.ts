import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyError } from '../../src/errors.ts';
import { denyList, noModule, startToolchain } from './toolchain-fixture.ts';

const intern = '{"mcp_server": "ollama-proxy", "agent_role": "intern", "model": "mistral"}';

test('every test is reported with its outcome and its place', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = {
    'authz.rego': denyList,
    'authz_test.rego': `package behavry.authz_test

import data.behavry.authz

test_denied if authz.deny with input as ${intern}

test_fails if {
	print("seen", input)
	not authz.deny with input as ${intern}
}

todo_test_later if false
`,
  };
  const { passed, cases } = await toolchain.test({ modules, data: {} });
  assert.equal(passed, false);
  assert.deepEqual(
    cases.map(({ name, outcome, file, row }) => ({ name, outcome, file, row })),
    [
      { name: 'test_denied', outcome: 'pass', file: 'authz_test.rego', row: 5 },
      { name: 'test_fails', outcome: 'fail', file: 'authz_test.rego', row: 7 },
      { name: 'todo_test_later', outcome: 'skip', file: 'authz_test.rego', row: 12 },
    ],
  );
  assert.match(cases[1]?.output ?? '', /seen/);
});

test('the failing case of a test with cases is named', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = {
    'a_test.rego': 'package a\n\ntest_x[name] if {\n\tsome name, n in {"one": 1, "two": 2}\n\tn == 2\n}',
  };
  const { cases } = await toolchain.test({ modules, data: {} });
  assert.match(cases[0]?.message ?? '', /one/);
  assert.doesNotMatch(cases[0]?.message ?? '', /two/);
});

test('coverage names the rows that no test reaches and leaves the tests out', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = {
    'a.rego': 'package a\n\nallow if input.x == 1\n\nallow if {\n\tinput.x == 2\n\tinput.y == 3\n}\n',
    'a_test.rego': 'package a_test\n\ntest_one if data.a.allow with input as {"x": 1}\n',
  };
  const { coverage } = await toolchain.test({ modules, data: {}, coverage: true });
  assert.deepEqual(Object.keys(coverage?.files ?? {}), ['a.rego']);
  const file = coverage?.files['a.rego'];
  assert.deepEqual(file?.covered, [{ start: 3, end: 3 }]);
  assert.ok(file.notCovered.some((range) => range.start === 7));
  assert.ok(file.percent > 0 && file.percent < 100);
  assert.equal(coverage?.percent, file.percent);
});

test('tests see the data of the policy', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = { 'a_test.rego': 'package a\n\ntest_x if data.roles.intern == ["tiny"]' };
  assert.equal((await toolchain.test({ modules, data: { roles: { intern: ['tiny'] } } })).passed, true);
});

test('a test that runs for too long is an error, and the next one still runs', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const loop = 'some a in numbers.range(1, 10000)\n\tsome b in numbers.range(1, 10000)\n\ta + b == 0';
  const modules = { 'a_test.rego': `package a\n\ntest_loop if {\n\t${loop}\n}\n\ntest_next if true\n` };
  const { cases } = await toolchain.test({ modules, data: {}, timeoutMs: 200 });
  assert.deepEqual(
    cases.map(({ outcome }) => outcome),
    ['error', 'pass'],
  );
});

test('tests of a policy that does not compile do not run', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = { 'a_test.rego': 'package a\n\ntest_x if nobody' };
  await assert.rejects(toolchain.test({ modules, data: {} }), (error) => {
    assert.ok(error instanceof PolicyError);
    assert.partialDeepStrictEqual(error.faults[0], { code: 'rego_unsafe_var_error', file: 'a_test.rego', row: 3 });
    return true;
  });
});
