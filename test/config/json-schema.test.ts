import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configJsonSchema } from '../../src/config/schema.ts';

test('docs/schemas/config.json is what the schema says', () => {
  const file: unknown = JSON.parse(readFileSync(new URL('../../docs/schemas/config.json', import.meta.url), 'utf8'));
  const schema: unknown = JSON.parse(JSON.stringify(configJsonSchema));
  assert.deepEqual(file, schema, 'run: node scripts/write-config-schema.ts && npx biome check --write docs/schemas');
});
