import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { PolicyError } from '../../src/errors.ts';
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

test('tests are no part of what is compiled', { skip: noModule }, async () => {
  const modules = { 'a.rego': 'package a\n\nallow := true', 'a_test.rego': 'package a\n\ntest_x if input.secret' };
  const { inspection } = await toolchain.compile({ modules, data: {}, entrypoints: ['a'] });
  assert.deepEqual(inspection.rules, ['a/allow']);
  assert.deepEqual(inspection.reads, { all: false, members: [] });
});

const refused: ReadonlyArray<{
  readonly name: string;
  readonly rego: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly entrypoint?: string;
  readonly fault: object;
}> = [
  {
    name: 'a syntax error is told with its file, row and column',
    rego: 'package a\n\nallow if {\n\tinput.model ==\n}',
    fault: { code: 'rego_parse_error', file: 'policies/a.rego', row: 5, column: 1 },
  },
  {
    name: 'a type error is told with its file, row and column',
    rego: 'package a\n\nallow if count(3) == 1',
    fault: { code: 'rego_type_error', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'an unsafe variable is told with its file, row and column',
    rego: 'package a\n\nallow if x == 1',
    fault: { code: 'rego_unsafe_var_error', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'Rego of version 0 is refused where it differs',
    rego: 'package a\n\nallow { true }',
    fault: { code: 'rego_parse_error', file: 'policies/a.rego', row: 3, column: 1 },
  },
  {
    name: 'the network is refused with the advice to use the opa engine',
    rego: 'package a\n\nallow if http.send({"method": "get", "url": "http://x"}).status_code == 200',
    fault: { code: 'unsupported_builtin', file: 'policies/a.rego', row: 3, column: 10 },
  },
  {
    name: 'the network is refused as a replacement of another function too',
    rego: 'package a\n\nf(x) := x\n\nallow if f("localhost") with f as net.lookup_ip_addr',
    fault: { code: 'unsupported_builtin', file: 'policies/a.rego' },
  },
  {
    name: 'a rule that hides a data document is refused',
    rego: 'package a\n\nallow := true',
    data: { a: { allow: false } },
    fault: { code: 'rego_compile_error', file: 'policies/a.rego', row: 3, column: 1 },
  },
  {
    name: 'an entrypoint that does not exist is refused',
    rego: 'package a\n\nallow := true',
    entrypoint: 'a/alow',
    fault: { code: 'unknown_entrypoint' },
  },
  {
    name: 'a function is no entrypoint',
    rego: 'package a\n\nallow(x) := x',
    entrypoint: 'a/allow',
    fault: { code: 'unknown_entrypoint' },
  },
];

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
