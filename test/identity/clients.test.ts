import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { readClients } from '../../src/config/clients-file.ts';
import type { TokenClients } from '../../src/configured/identity.ts';
import { authenticateClient } from '../../src/identity/clients.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const secret = 's'.repeat(40);
const next = 'n'.repeat(40);

function read(text: string): TokenClients {
  const clients = readClients(text);
  assert.ok(clients instanceof Map, String(clients));
  return clients;
}

const file = `clients:
  - id: planner
    secret_sha256: [${sha256(secret)}, ${sha256(next)}]
    roles: [analyst, reader]
    agent_role: analyst
    permissions: [web:read]
    tenant: blue
  - id: short
    secret_sha256: [${sha256('hunter2')}]
    roles: [analyst]
`;

test('a client is known by its secret, and by the one that takes its place', () => {
  const clients = read(file);
  const planner = {
    id: 'planner',
    roles: ['analyst', 'reader'],
    agentRole: 'analyst',
    permissions: ['web:read'],
    tenant: 'blue',
  };
  assert.deepEqual(authenticateClient(clients, 'planner', secret), planner);
  assert.deepEqual(authenticateClient(clients, 'planner', next), planner);
});

test('a wrong secret, the hash itself, and an id that nobody has are nobody', () => {
  const clients = read(file);
  for (const [id, given] of [
    ['planner', `${secret}x`],
    ['planner', sha256(secret)],
    ['planner', ''],
    ['nobody', secret],
    ['nobody', '\0'.repeat(32)],
    ['__proto__', secret],
  ] as const)
    assert.equal(authenticateClient(clients, id, given), undefined, `${id} ${given}`);
});

test('a secret that a person made up is not taken, because its hash can be guessed', () => {
  assert.equal(authenticateClient(read(file), 'short', 'hunter2'), undefined);
});

for (const [what, text, fault] of [
  ['no YAML', 'clients: [', /not readable/],
  ['no list', 'clients: {}', /clients: /],
  ['a slip', `clients: [{id: a, secret_sha256: [${sha256(secret)}], role: [x]}]`, /role/],
  [
    'a secret in the place of its hash',
    `clients: [{id: a, secret_sha256: [${secret}], roles: [x]}]`,
    /clients.0.secret_sha256.0: must be a SHA-256/,
  ],
  ['three secrets', `clients: [{id: a, secret_sha256: [${`${sha256(secret)},`.repeat(3)}], roles: [x]}]`, /at most 2/],
  ['no role', `clients: [{id: a, secret_sha256: [${sha256(secret)}], roles: []}]`, /roles/],
  ['an id with a space', `clients: [{id: a b, secret_sha256: [${sha256(secret)}], roles: [x]}]`, /letters, digits/],
  [
    'a permission with a space',
    `clients: [{id: a, secret_sha256: [${sha256(secret)}], roles: [x], permissions: [a b]}]`,
    /visible ASCII/,
  ],
  ['one id twice', file + file.split('\n').slice(1).join('\n'), /clients.2.id: stands twice/],
  ['aliases', `clients: [&a {id: a, secret_sha256: [${sha256(secret)}], roles: [x]}, *a]`, /not readable/],
] as const) {
  test(`a file is refused that has ${what}`, () => {
    const faults = readClients(text);
    assert.ok(Array.isArray(faults), 'it was taken');
    assert.match(faults.join('\n'), fault);
    assert.ok(!faults.join().includes(secret), 'the fault says no secret');
  });
}
