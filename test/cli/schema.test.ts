import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { opallama, root } from './command.ts';

for (const [name, file] of [
  ['input', 'policies/schemas/input.json'],
  ['decision', 'policies/schemas/decision.json'],
  ['config', 'docs/schemas/config.json'],
] as const) {
  test(`opallama schema ${name} prints ${file}`, async () => {
    const printed = await opallama(['schema', name]);
    assert.equal(printed.code, 0);
    assert.equal(printed.stdout, readFileSync(join(root, file), 'utf8'));
    assert.equal((await opallama(['schema', name, '--path'])).stdout, `${join(root, file)}\n`);
  });
}

test('a schema that there is none of is a wrong call', async () => {
  const { code, stderr } = await opallama(['schema', 'answer']);
  assert.equal(code, 2);
  assert.match(stderr, /input, decision, config/);
});
