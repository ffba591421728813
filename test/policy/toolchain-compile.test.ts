import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { PolicyError } from '../../src/errors.ts';
import { refused } from './toolchain-cases.ts';
import { denyList, noModule, startToolchain } from './toolchain-fixture.ts';

const toolchain = startToolchain({ after });

test('a compiled policy decides as its Rego says', { skip: noModule }, async () => {
  const modules = { 'policies/authz.rego': denyList };
  const { wasm, entrypoints } = await toolchain.compile({ modules, data: {}, entrypoints: ['behavry/authz'] });

  assert.deepEqual(entrypoints, ['behavry/authz']);
  const policy = await loadPolicy(Uint8Array.from(wasm).buffer);
  const input = { mcp_server: 'ollama-proxy', agent_role: 'intern' };
  assert.deepEqual(policy.evaluate({ ...input, model: 'mistral' }, 'behavry/authz'), [{ result: { deny: true } }]);
  assert.deepEqual(policy.evaluate({ ...input, model: 'tiny' }, 'behavry/authz'), [{ result: {} }]);
});

test('a compiled policy reads the data that it is given later', { skip: noModule }, async () => {
  const modules = { 'a.rego': 'package a\n\nallow if input.model in data.models' };
  const { wasm } = await toolchain.compile({ modules, data: { models: [] }, entrypoints: ['a/allow'] });

  const policy = await loadPolicy(Uint8Array.from(wasm).buffer);
  policy.setData({ models: ['tiny'] });
  assert.deepEqual(policy.evaluate({ model: 'tiny' }, 'a/allow'), [{ result: true }]);
});

test('the same sources compile to the same bytes', { skip: noModule }, async () => {
  const request = { modules: { 'b.rego': 'package b\n\np := 1', 'a.rego': denyList }, data: {}, entrypoints: ['b'] };
  const first = await toolchain.compile(request);
  const second = await toolchain.compile(request);
  assert.deepEqual(first.wasm, second.wasm);
});

test('an optional entrypoint is compiled only if it exists', { skip: noModule }, async () => {
  const request = { data: {}, entrypoints: ['a'], optionalEntrypoints: ['ollama/response'] };
  const without = await toolchain.compile({ ...request, modules: { 'a.rego': 'package a\n\nallow := true' } });
  assert.deepEqual(without.entrypoints, ['a']);
  const modules = { 'a.rego': 'package a\n\nallow := true', 'r.rego': 'package ollama.response\n\nallow := true' };
  assert.deepEqual((await toolchain.compile({ ...request, modules })).entrypoints, ['a', 'ollama/response']);
});

test('a file that changes between two calls counts as it is then', { skip: noModule }, async () => {
  const compile = (member: string, other: string) =>
    toolchain.compile({
      modules: {
        'a.rego': `package a\n\np if input.${member}`,
        'b.rego': `package b\n\nimport data.a\n\n${other} if a.p`,
      },
      data: {},
      entrypoints: ['b'],
    });
  const first = await compile('model', 'allow');
  assert.deepEqual(first.inspection.reads.members, ['model']);
  const second = await compile('method', 'allow');
  assert.deepEqual(second.inspection.reads.members, ['method']);
  assert.notDeepEqual(second.wasm, first.wasm);
  assert.deepEqual((await compile('method', 'deny')).inspection.rules, ['a/p', 'b/deny']);
  await assert.rejects(compile('', 'deny'), PolicyError);
  assert.deepEqual((await compile('model', 'allow')).wasm, first.wasm);
});

test('faults in the rules come before an entrypoint that is missing', { skip: noModule }, async () => {
  const modules = { 'a.rego': 'package a\n\nallow if count(3) == 1\n\ndeny if no_such_thing\n' };
  await assert.rejects(toolchain.compile({ modules, data: {}, entrypoints: ['b'] }), (error) => {
    assert.ok(error instanceof PolicyError);
    assert.deepEqual(
      error.faults.map(({ code, row }) => [code, row]),
      [['rego_unsafe_var_error', 5]],
    );
    return true;
  });
});

test('tests are no part of what is compiled', { skip: noModule }, async () => {
  const modules = { 'a.rego': 'package a\n\nallow := true', 'a_test.rego': 'package a\n\ntest_x if input.secret' };
  const { inspection } = await toolchain.compile({ modules, data: {}, entrypoints: ['a'] });
  assert.deepEqual(inspection.rules, ['a/allow']);
  assert.deepEqual(inspection.reads, { all: false, members: [] });
});

for (const { name, rego, data, entrypoint, fault } of refused) {
  test(name, { skip: noModule }, async () => {
    const request = { modules: { 'policies/a.rego': rego }, data: data ?? {}, entrypoints: [entrypoint ?? 'a'] };
    await assert.rejects(toolchain.compile(request), (error) => {
      assert.ok(error instanceof PolicyError);
      assert.partialDeepStrictEqual(error.faults[0], fault);
      return true;
    });
  });
}

test('the faults of every file are reported together', { skip: noModule }, async () => {
  const modules = { 'b.rego': 'package b\n\np if {', 'a.rego': 'package a\n\np = ' };
  await assert.rejects(toolchain.compile({ modules, data: {}, entrypoints: ['a'] }), (error) => {
    assert.ok(error instanceof PolicyError);
    assert.deepEqual([...new Set(error.faults.map((fault) => fault.file))], ['a.rego', 'b.rego']);
    return true;
  });
});

test('a file without any Rego is told', { skip: noModule }, async () => {
  await assert.rejects(
    toolchain.compile({ modules: { 'a.rego': '# later\n' }, data: {}, entrypoints: ['a'] }),
    (error) => {
      assert.ok(error instanceof PolicyError);
      assert.match(error.message, /^a\.rego:1:1: rego_parse_error: empty module$/m);
      return true;
    },
  );
});
