/** What a policy imports of the library that ships with the sidecar stands beside its own modules, and nothing else does. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { readPolicySource } from '../../src/policy/source.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';

const policies = fileURLToPath(new URL('../../policies/', import.meta.url));
const toolchain = createToolchain({ path: process.env['PATH'] });
const skip =
  toolchain.kind === 'none' && 'neither opa/build/opa.wasm nor an opa on the PATH is here to compile the policy with';
after(() => toolchain.close());

const plain = 'package p\n\nallow := true\n';
const importing = `package p

import data.opallama.lib.models

allow if models.all_local(input.model_refs)
`;

const shippedFile = (name: string, test = '') => readFile(join(policies, 'lib', name, `${name}${test}.rego`), 'utf8');

test('a policy gets the module that it imports, those that this one imports, and no other', async (t) => {
  const { modules, library, files } = await readPolicySource(await makeDirectory(t, { 'p.rego': importing }));
  assert.deepEqual(library, ['opallama/lib/globs.rego', 'opallama/lib/models.rego']);
  assert.deepEqual(Object.keys(modules), ['p.rego', ...library.toReversed()]);
  assert.equal(modules['opallama/lib/models.rego'], await shippedFile('models'));
  assert.deepEqual([...files.keys()], Object.keys(modules));
});

test('a policy that imports nothing gets nothing, and a comment is no import', async (t) => {
  for (const rego of [plain, `# See data.opallama.lib.models.\n${plain}`, `${plain}\nx := "opallama.lib.models"\n`]) {
    const { library, modules } = await readPolicySource(await makeDirectory(t, { 'p.rego': rego }));
    assert.deepEqual([library, Object.keys(modules)], [[], ['p.rego']]);
  }
});

test('a policy that names the library as a whole gets all of it', async (t) => {
  for (const line of ['import data.opallama.lib', 'import data.opallama', 'x := data["opallama"]["lib"].globs']) {
    const path = await makeDirectory(t, { 'p.rego': `package p\n\n${line}\n` });
    assert.equal((await readPolicySource(path)).library.length, 9, line);
  }
});

test('an import of a package that the library does not have is refused with its place', async (t) => {
  const path = await makeDirectory(t, { 'p.rego': 'package p\n\nimport data.opallama.lib.modles\n' });
  const { faults } = await policyErrorOf(readPolicySource(path));
  assert.deepEqual(
    faults.map(({ code, file, row }) => ({ code, file, row })),
    [{ code: 'unknown_library', file: 'p.rego', row: 3 }],
  );
  assert.match(faults[0]?.message ?? '', /no package opallama\.lib\.modles; there are control_zero, globs, /);
});

test("a policy's own package of that name is used in the library's place", async (t) => {
  const own = 'package opallama.lib.models\n\nall_local(_) := true\n';
  const path = await makeDirectory(t, { 'p.rego': importing, 'mine/models.rego': own });
  const { library, modules } = await readPolicySource(path);
  assert.deepEqual([library, Object.keys(modules)], [[], ['mine/models.rego', 'p.rego']]);
});

test('copies of the library count only as far as they are imported, as in the shipped directory', async (t) => {
  const copies = {
    'lib/models/models.rego': await shippedFile('models'),
    'lib/models/models_test.rego': await shippedFile('models', '_test'),
    'lib/hours/hours.rego': await shippedFile('hours'),
  };
  const path = await makeDirectory(t, { 'p.rego': importing, ...copies });
  assert.deepEqual(Object.keys((await readPolicySource(path)).modules).toSorted(), [
    'opallama/lib/globs.rego',
    'opallama/lib/models.rego',
    'p.rego',
  ]);
  const shipped = Object.keys((await readPolicySource(policies)).modules);
  assert.deepEqual(
    shipped.filter((file) => file.includes('lib/')),
    [],
  );
  const kept = await readPolicySource(path, { copies: 'kept' });
  assert.deepEqual(kept.library, ['opallama/lib/globs.rego']);
  assert.equal(Object.keys(kept.modules).length, 5);
});

test('a file of another package that stands where the library would is refused', async (t) => {
  const path = await makeDirectory(t, { 'p.rego': importing, 'opallama/lib/models.rego': 'package q\n' });
  assert.match((await policyErrorOf(readPolicySource(path))).message, /opallama\/lib\/models\.rego .*another name/);
});

test('what is imported compiles and counts for the revision, and its tests do not run again', { skip }, async (t) => {
  const prepare = async (rego: string) =>
    preparePolicy({ path: await makeDirectory(t, { 'p.rego': rego }), entrypoint: 'p', toolchain });
  const [without, one] = [await prepare(plain), await prepare(importing)];
  assert.equal(one.testsPassed, 0);
  assert.notEqual(one.policy.revision, without.policy.revision);
  assert.deepEqual([...one.policy.reads.members], ['model_refs']);
});
