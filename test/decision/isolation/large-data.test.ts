/** More data than the thread that serves should ever see, and less memory than a policy wants. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PolicyConfig } from '../../../src/configured/policy.ts';
import { loadPolicy } from '../../../src/delivery/load-policy.ts';
import { PolicyError } from '../../../src/errors.ts';
import type { LoadedPolicy } from '../../../src/types.ts';
import { noModule } from '../../policy/toolchain-fixture.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { policyInput } from '../input.ts';
import { codeOf } from './module-policy.ts';

const mebibyte = 1024 * 1024;
const padding = 'x'.repeat(1000);
const rego = `package ollama.authz

allow if data.users[input.principal.id].model == input.model
`;
/** A megabyte for every thousand users. */
const users = (count: number): string =>
  `{"users":{"alice":{"model":"tiny","number":12345678901234567890},${Array.from({ length: count }, (_, i) => `"u${i}":"${padding}"`).join()}}}`;

async function load(t: TestContext, files: Readonly<Record<string, string>>, over: Partial<PolicyConfig> = {}) {
  const path = await mkdtemp(join(tmpdir(), 'opallama-large-'));
  t.after(() => rm(path, { recursive: true, maxRetries: 10 }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  const lost: string[] = [];
  const { members, close } = await loadPolicy({ policies: [policyConfig({ path, ...over })] }, undefined, {
    onLost: ({ code }) => lost.push(code),
  });
  t.after(close);
  const [member] = members;
  assert.ok(member !== undefined);
  return { ...member, lost };
}

async function ask(loaded: LoadedPolicy, model: string): Promise<unknown> {
  try {
    return await loaded.evaluate('ollama/authz', policyInput({ model }));
  } catch (error) {
    return codeOf(error);
  }
}

test('a policy with more than 5 MB of data is prepared, loaded and evaluated in threads', {
  skip: noModule,
}, async (t) => {
  const large = await load(t, { 'p.rego': rego, 'data.json': users(5001), 'notes.json': '{}' });
  assert.equal(large.place.place, 'worker');
  assert.equal(large.prepared.kind, 'directory');
  assert.deepEqual(large.prepared.ignoredFiles, ['notes.json']);
  assert.deepEqual(await ask(large.loaded, 'tiny'), [{ allow: true }]);
  assert.deepEqual(await ask(large.loaded, 'other'), [{}]);
  assert.deepEqual([...large.loaded.reads.members].toSorted(), ['model', 'principal']);
  assert.equal(large.loaded.shape('ollama/authz'), 'allow');

  const small = await load(t, { 'p.rego': rego, 'data.json': users(10) });
  assert.equal(small.place.place, 'inline');
});

test('whole numbers of large data keep their digits', { skip: noModule }, async (t) => {
  const source = `${rego}\ndynamic_metadata := {"number": data.users.alice.number}\n`;
  const { loaded } = await load(t, { 'p.rego': source, 'data.json': users(5001) });
  const results = await ask(loaded, 'tiny');
  assert.equal(JSON.stringify(results), '[{"allow":true,"dynamic_metadata":{"number":12345678901234567890}}]');
});

for (const [what, files, found] of [
  [
    'a rule where data stands',
    {
      'p.rego': `${rego}\n\nallow := false`,
      'data.json': `{"ollama":{"authz":{"allow":true}},${users(5001).slice(1)}`,
    },
    /conflict/,
  ],
  [
    'a slip of syntax',
    { 'p.rego': `${rego}\nallow if {`, 'data.json': users(5001) },
    /p\.rego:5:\d+: rego_parse_error/,
  ],
  [
    'a test that fails',
    { 'p.rego': rego, 'p_test.rego': 'package p_test\n\ntest_nothing if false', 'data.json': users(5001) },
    /p_test\.rego:3:1: test_failed/,
  ],
  ['data that is no JSON', { 'p.rego': rego, 'data.json': `${users(5001)},` }, /data\.json:1:\d+: invalid_data/],
] as const) {
  test(`${what} beside much data is refused with its place`, { skip: noModule }, async (t) => {
    await assert.rejects(load(t, files), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      assert.match(error.message, found);
      assert.equal(error.message.split(error.faults[0]?.message ?? '').length, 2, 'each fault is told once');
      return true;
    });
  });
}

const hungry = `package ollama.authz

allow if input.model == "tiny"

allow if {
	input.model == "hungry"
	each := numbers.range(1, 3000)
	count([[a, b] | some a in each; some b in each]) == 0
}
`;

for (const isolation of ['inline', 'worker'] as const) {
  test(`a policy that wants more than policy.memory is denied, and the next request is decided: ${isolation}`, {
    skip: noModule,
  }, async (t) => {
    const { loaded } = await load(t, { 'p.rego': hungry }, { isolation, memory: 32 * mebibyte, deadline: 30_000 });
    assert.equal(await ask(loaded, 'hungry'), 'policy_memory');
    assert.deepEqual(await ask(loaded, 'tiny'), [{ allow: true }]);
    assert.equal(await ask(loaded, 'hungry'), 'policy_memory');
    assert.deepEqual(await ask(loaded, 'other'), [{}]);
  });

  test(`data that does not fit into policy.memory is refused: ${isolation}`, { skip: noModule }, async (t) => {
    const files = {
      'p.rego': rego,
      'data.json': `{"users":[${Array.from({ length: 1_000_000 }, () => '{}').join()}]}`,
    };
    await assert.rejects(load(t, files, { isolation, memory: 16 * mebibyte }), /does not fit into policy\.memory/);
  });
}
