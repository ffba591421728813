import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule, startToolchain } from './toolchain-fixture.ts';

test('formatting names what changes and what can not be read', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t);
  const tidy = 'package tidy\n\nallow if input.model == "tiny"\n';
  const { modules, changed, faults } = await toolchain.format({
    modules: {
      'tidy.rego': tidy,
      'messy.rego': 'package  messy\nallow if   input.x',
      'bad.rego': 'package bad\n\np if {',
    },
  });
  assert.deepEqual(modules, { 'tidy.rego': tidy, 'messy.rego': 'package messy\n\nallow if input.x\n' });
  assert.deepEqual(changed, ['messy.rego']);
  assert.deepEqual(
    faults.map(({ code, file, row }) => ({ code, file, row })),
    [{ code: 'rego_parse_error', file: 'bad.rego', row: 3 }],
  );
});
