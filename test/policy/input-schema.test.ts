/** The schema of the input against what it describes, and what it is used for when a policy is loaded. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';

import { z } from 'zod';
import { readInputSchema } from '../../src/policy/input-schema.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';
import { noModule } from './toolchain-fixture.ts';

const toolchain = createToolchain({ path: undefined });
after(() => toolchain.close());

const values = z.object({ enum: z.array(z.string()) });
const schema = z.object({
  properties: z.object({
    operation: values,
    api: values,
    principal: z.object({ properties: z.object({ kind: values }) }),
  }),
});

/** The strings of a union, or of a member's, in `types.ts`: types are gone at run time. */
function unionOf(pattern: RegExp): readonly string[] {
  const [, union = ''] = pattern.exec(readFileSync('src/types.ts', 'utf8')) ?? [];
  return [...union.matchAll(/'([^']+)'/g)].map(([, name = '']) => name).sort();
}

test('the schema lists every operation, dialect and kind of principal, and no other', async () => {
  const { operation, api, principal } = schema.parse(await readInputSchema()).properties;
  const operations = unionOf(/^export type Operation =(.*?);$/ms);
  assert.ok(operations.length > 20);
  assert.deepEqual(operation.enum.toSorted(), operations);
  assert.deepEqual(api.enum.toSorted(), unionOf(/^export type Api = (.*);$/m));
  assert.deepEqual(principal.properties.kind.enum.toSorted(), unionOf(/^ {2}readonly kind: ('jwt'.*);$/m));
});

test('a policy that must fit the schema is not loaded where it reads a member that there is not', {
  skip: noModule,
}, async (t) => {
  const rego = 'package a\n\nallow if input.department == "x"\n';
  const path = await makeDirectory(t, { 'a.rego': rego });
  const error = await policyErrorOf(preparePolicy({ path, entrypoint: 'a', toolchain, mustFitSchema: true }));
  assert.match(error.message, /policy\.schema: strict/);
  assert.partialDeepStrictEqual(error.faults, [{ code: 'rego_type_error', file: 'a.rego', row: 3 }]);
  await preparePolicy({ path, entrypoint: 'a', toolchain });
  const fitting = await makeDirectory(t, { 'a.rego': rego.replace('department', 'model') });
  await preparePolicy({ path: fitting, entrypoint: 'a', toolchain, mustFitSchema: true });
});
