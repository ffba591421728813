/** `policy.shadow`: a policy that is asked beside those that decide. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, guests, load } from './sources.ts';

const beside = `${guests}policy: { path: mine, shadow: { path: next, engine: topdown, sample: 0.25 } }\n`;

test('a shadow has the members of a policy, a thread of its own, a name and a sample', () => {
  const { shadow, policies } = load({ yaml: beside });
  assert.deepEqual(shadow, {
    name: 'shadow',
    path: '/etc/app/next',
    engine: 'topdown',
    entrypoint: 'ollama/authz',
    mode: 'auto',
    schema: 'warn',
    denyListOperations: [],
    keepRevisions: 1,
    isolation: 'worker',
    deadline: 500,
    memory: 1024 * 1024 * 1024,
    workers: 1,
    sample: 0.25,
  });
  assert.equal(policies.length, 1);
  assert.ok(!('shadow' in (policies[0] ?? {})));
  assert.equal(load({ yaml: guests }).shadow, undefined);
});

test('what is printed gives the same shadow again', () => {
  const config = load({ yaml: beside });
  assert.deepEqual(load({ yaml: printConfig(config) }), config);
});

test('it stands beside a list of policies, and may be set by variables', () => {
  const yaml = `${guests}policy: { all_of: [{ name: one, path: a }], shadow: { path: b } }\n`;
  const { shadow, policies } = load({ yaml, env: { OPALLAMA_POLICY__SHADOW__SAMPLE: '0.5' } });
  assert.deepEqual([policies.map(({ name }) => name), shadow?.path, shadow?.sample], [['one'], '/etc/app/b', 0.5]);
});

test('the name of a policy that decides, and a sample that is none, are faults', () => {
  const named = `${guests}policy: { all_of: [{ name: one, path: a }], shadow: { path: b, name: one } }\n`;
  assert.match(faultsOf({ yaml: named }).join('\n'), /policy\.shadow\.name: is the name of a policy that decides/);
  const sampled = `${guests}policy: { shadow: { path: b, sample: 25 } }\n`;
  assert.match(faultsOf({ yaml: sampled }).join('\n'), /policy\.shadow\.sample: must be at most 1/);
});
