import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createEngine, engineNames } from '../../../src/decision/engines/table.ts';
import { policyConfig } from '../../support/policy-config.ts';

const config = policyConfig();

for (const engine of engineNames) {
  test(`the engine that is configured as ${engine} has that name`, async () => {
    const { name } = await createEngine({ ...config, engine });
    assert.equal(name, engine);
  });
}

test('a name that no engine has makes none, also one that every object has', async () => {
  for (const engine of ['', 'Wasm', 'constructor', '__proto__']) {
    await assert.rejects(createEngine({ ...config, engine }), /There is no engine/);
  }
});

test('every engine is run by the suite of all engines', () => {
  for (const engine of engineNames) {
    assert.ok(existsSync(new URL(`./suite-${engine}.test.ts`, import.meta.url)), `suite-${engine}.test.ts`);
  }
});
