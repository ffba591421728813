/** The example in `examples/module-engine/`, as the sidecar runs it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createDecider } from '../../src/decision/decide.ts';
import { loadPolicy } from '../../src/delivery/load-policy.ts';
import type { LoadedPolicy, PolicyInput } from '../../src/types.ts';
import { policyInput } from '../decision/input.ts';
import { policyConfig } from '../support/policy-config.ts';

const path = fileURLToPath(new URL('../../examples/module-engine/authz.mjs', import.meta.url));
const noon = Date.UTC(2026, 0, 1, 12) * 1e6;
const night = Date.UTC(2026, 0, 1, 23) * 1e6;
let loaded: LoadedPolicy | undefined;

before(async () => {
  const { members } = await loadPolicy({ policies: [policyConfig({ path, engine: 'module' })] }, undefined);
  loaded = members[0]?.loaded;
});
after(() => loaded?.close());

async function decide(roles: readonly string[], over: Partial<PolicyInput>): Promise<string> {
  const principal = { id: 'alice', kind: 'jwt', roles, permissions: [], claims: {} };
  const ask = createDecider({
    engine: 'module',
    policy: () => loaded,
    entrypoint: 'ollama/authz',
    mode: 'auto',
    denyListOperations: [],
    onError: (error) => assert.fail(String(error)),
  });
  const decision = await ask(policyInput({ principal, now_ns: noon, ...over }));
  return decision.allowed ? 'allowed' : decision.reasons.map(({ code }) => code).join();
}

for (const [what, roles, over, expected] of [
  ['a developer', ['developer'], { model: 'qwen3' }, 'allowed'],
  ['a developer at night', ['developer'], { model: 'qwen3', now_ns: night }, 'allowed'],
  ['a guest by day', ['guest'], { model: 'llama3.2' }, 'allowed'],
  ['a guest at night', ['guest'], { model: 'llama3.2', now_ns: night }, 'outside_hours'],
  ['a guest with a model of developers', ['guest'], { model: 'qwen3' }, 'model_not_allowed'],
  ['a list of models', ['guest'], { operation: 'models.list' }, 'allowed'],
  ['a management operation', ['developer'], { operation: 'models.delete' }, 'operation_not_allowed'],
  ['nobody', [], {}, 'no_role'],
  ['a role that every object has', ['constructor'], {}, 'no_role'],
] as const) {
  test(`the example decides on ${what}: ${expected}`, async () => {
    assert.equal(await decide(roles, over), expected);
  });
}

test('the example reads no text of callers, and its codes may be labels', () => {
  assert.equal(loaded?.reads.all, false);
  assert.equal(loaded?.codes.has('outside_hours'), true);
});
