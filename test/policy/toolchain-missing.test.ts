import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyError } from '../../src/errors.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';

test('without module and command every call says what is missing and names the two other ways', async () => {
  const toolchain = createToolchain({ path: undefined, wasmFile: '/nowhere/opa.wasm' });
  assert.equal(toolchain.kind, 'none');
  const sources = { modules: { 'a.rego': 'package a' }, data: {} };
  const calls = [
    toolchain.compile({ ...sources, entrypoints: ['a'] }),
    toolchain.check(sources),
    toolchain.test(sources),
    toolchain.format(sources),
    toolchain.inspect(sources),
  ];
  for (const call of calls) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof PolicyError);
      assert.equal(error.faults[0]?.code, 'toolchain_missing');
      assert.match(error.message, /opa\.wasm is not there.*Go 1\.21.*"opa" command on the PATH.*bundle/s);
      return true;
    });
  }
  await toolchain.close();
});

test('relative entries of the PATH are not looked into', () => {
  assert.equal(createToolchain({ path: '.:bin:', wasmFile: '/nowhere/opa.wasm' }).kind, 'none');
});
