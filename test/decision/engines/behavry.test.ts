/** A policy that others wrote for another system decides unmodified: only `deny`, no newer keyword imported. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { createDecider } from '../../../src/decision/decide.ts';
import type { LoadedPolicy } from '../../../src/types.ts';
import { modelRef, policyInput } from '../input.ts';
import { load } from './compiled.ts';

let policy: LoadedPolicy;
before(async () => {
  policy = await load(readFileSync('test/policies/behavry/authz.rego', 'utf8'), 'behavry/authz');
});

const decide = createDecider({
  engine: 'wasm',
  policy: () => policy,
  entrypoint: 'behavry/authz',
  mode: 'auto',
  denyListOperations: [],
  onError: (error) => assert.fail(String(error)),
});

test('it is seen to be a deny-list', () => {
  assert.equal(policy.shape('behavry/authz'), 'deny_list');
  assert.deepEqual(policy.reads, { all: false, members: new Set(['agent_role', 'mcp_server', 'model']) });
});

const cases: ReadonlyArray<readonly [role: string | undefined, model: string | undefined, allowed: boolean]> = [
  ['developer', 'llama3.2', true],
  ['developer', 'codellama', true],
  ['developer', 'dolphin-mixtral', false],
  ['intern', 'llama3.2', true],
  ['intern', 'mistral', false],
  ['guest', 'codellama:7b', false],
  ['contractor', 'codellama', false],
  ['contractor', 'llama3.2', true],
  [undefined, 'llama2-uncensored', false],
  [undefined, 'codellama', true],
  [undefined, undefined, true],
  // `input.model != "llama3.2"` is undefined where there is no model.
  ['intern', undefined, true],
  ['guest', undefined, true],
];

for (const [role, model, allowed] of cases) {
  test(`role ${role ?? 'none'} and model ${model ?? 'none'}: ${allowed ? 'allowed' : 'denied'}`, async () => {
    const { model: _model, ...without } = policyInput();
    const input = { ...without, ...(model && { model }), ...(role && { agent_role: role }) };
    const decision = await decide(input);
    assert.equal(decision.allowed, allowed);
    assert.equal(decision.reasons[0]?.code, allowed ? undefined : 'policy_denied');
  });
}

test('it allows no cloud model by its silence', async () => {
  const ask = (source: 'local' | 'cloud') => decide(policyInput({ model: 'gpt-oss', model_refs: [modelRef(source)] }));
  assert.equal((await ask('local')).allowed, true);
  assert.deepEqual(
    (await ask('cloud')).reasons.map(({ code }) => code),
    ['deny_list_operation'],
  );
});
