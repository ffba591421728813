/** `policy.all_of`: several policies in the place of one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, guests, load } from './sources.ts';

const two = `${guests}policy:
  all_of:
    - { name: company, path: /etc/company }
    - { name: team, path: mine, entrypoint: team/authz, mode: deny_list, deny_list_operations: [cloud] }
`;

test('each entry is a policy with a name, its defaults and its path', () => {
  assert.deepEqual(load({ yaml: two }).policies, [
    {
      name: 'company',
      path: '/etc/company',
      engine: 'wasm',
      entrypoint: 'ollama/authz',
      mode: 'auto',
      schema: 'warn',
      denyListOperations: [],
      isolation: 'auto',
      deadline: 500,
      memory: 1024 * 1024 * 1024,
      workers: 2,
      keepRevisions: 3,
    },
    {
      name: 'team',
      path: '/etc/app/mine',
      engine: 'wasm',
      entrypoint: 'team/authz',
      mode: 'deny_list',
      schema: 'warn',
      denyListOperations: ['cloud'],
      isolation: 'auto',
      deadline: 500,
      memory: 1024 * 1024 * 1024,
      workers: 2,
      keepRevisions: 3,
    },
  ]);
});

test('what is printed gives the same policies again', () => {
  const config = load({ yaml: two });
  assert.deepEqual(load({ yaml: printConfig(config) }).policies, config.policies);
});

test('the list can come from a variable', () => {
  const env = { OPALLAMA_POLICY__ALL_OF: '[{name: a, path: x}, {name: b, path: y}]' };
  assert.deepEqual(
    load({ yaml: guests, env }).policies.map(({ name, path }) => [name, path]),
    [
      ['a', '/etc/app/x'],
      ['b', '/etc/app/y'],
    ],
  );
});

const bad: ReadonlyArray<readonly [policy: string, faults: readonly string[]]> = [
  [
    '{ path: mine, all_of: [{ name: a }] }',
    ['opallama.yaml:2:11: policy.path: stands beside policy.all_of; give it to the entries that it is for'],
  ],
  ['{ all_of: [] }', ['opallama.yaml:2:11: policy.all_of: must not be empty']],
  [
    '{ all_of: [{ name: a }, { name: a }] }',
    ['opallama.yaml:2:35: policy.all_of[1].name: is the name of policy.all_of[0] too'],
  ],
  ['{ all_of: [{ path: a }] }', ['opallama.yaml:2:20: policy.all_of[0].name: is missing']],
  [
    '{ all_of: [{ name: "A b" }] }',
    ['opallama.yaml:2:22: policy.all_of[0].name: must be a name such as tenants: lower case, digits, _ and -'],
  ],
  [
    '{ all_of: [{ name: a, engin: wasm }] }',
    ['opallama.yaml:2:31: policy.all_of[0].engin: unknown member; did you mean policy.all_of[0].engine?'],
  ],
];
for (const [policy, faults] of bad) {
  test(`policy: ${policy} is refused with its place`, () => {
    assert.deepEqual(faultsOf({ yaml: `${guests}policy: ${policy}\n` }), faults);
  });
}

test('a flag for the path does not fit beside a list', () => {
  const flags = [{ name: '--policy', path: 'policy.path', value: '/abs' }];
  assert.deepEqual(faultsOf({ yaml: two, flags }), [
    '--policy: policy.path: stands beside policy.all_of; give it to the entries that it is for',
  ]);
});
