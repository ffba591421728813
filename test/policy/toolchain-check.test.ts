import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule, startToolchain } from './toolchain-fixture.ts';

const input = { type: 'object', properties: { model: { type: 'string' } }, additionalProperties: false };

test('a member that the schema does not know is a fault at its place', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = { 'a.rego': 'package a\n\nallow if input.modle == "tiny"' };
  assert.deepEqual((await toolchain.check({ modules, data: {} })).faults, []);
  const { faults } = await toolchain.check({ modules, data: {}, schemas: { input } });
  assert.equal(faults.length, 1);
  assert.partialDeepStrictEqual(faults[0], { code: 'rego_type_error', file: 'a.rego', row: 3, column: 10 });
});

test('package system reads an input of its own', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = { 's.rego': 'package system.log\n\nmask contains "/input/x" if input.whatever' };
  assert.deepEqual((await toolchain.check({ modules, data: {}, schemas: { input } })).faults, []);
});

test('a package can bind a named schema by METADATA', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const modules = {
    'a.rego': '# METADATA\n# schemas:\n#   - input: schema.gateway\npackage a\n\nallow if input.modle == "tiny"',
  };
  const { faults } = await toolchain.check({ modules, data: {}, schemas: { named: { gateway: input } } });
  assert.deepEqual(
    faults.map((fault) => [fault.code, fault.row]),
    [['rego_type_error', 6]],
  );
});

test('more than ten faults are all reported', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const rules = Array.from({ length: 15 }, (_, index) => `p${index} if unknown_${index} == 1`);
  const modules = { 'a.rego': `package a\n\n${rules.join('\n')}` };
  assert.equal((await toolchain.check({ modules, data: {} })).faults.length, 15);
});
