import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { load, secret } from './sources.ts';

const publicKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' });
const headsKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const sshLine = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILzzgYkYiYy6AAn7xgcNvvYGAzLUVbEfahV0n0qT3Ffa';
const otherLine = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOIwDwYyxdTxf1rPeWEjLo5OIeDAAoQvPxLtJBB5OGHP';
const given = {
  yaml: `listen: { data: "[::1]:8081", ops: localhost:0, hosts: [A.example] }
upstream: { base_url: http://ollama:11434/base }
cors: { origins: ["https://ui.example", tauri://localhost] }
prefixes: []
policy: { path: mine, entrypoint: behavry/authz, mode: deny_list, deny_list_operations: [cloud] }
identity:
  jwt:
    - { algorithm: HS256, secret_env: S, issuer: "yes", audience: "1: 2", kid: "0x1" }
    - { algorithm: HS384, secret_file: s, issuer: a, audience: b, claims: { roles: x.y }, clock_tolerance: 1500ms }
    - { algorithm: RS256, public_key_file: id.pem, issuer: a, audience: b }
  ollama_keys:
    - { id: "null", public_key: "${sshLine} alice@laptop", roles: ["1"], agent_role: "2", permissions: [a], tenant: "yes" }
    - { id: bob, public_key: ${otherLine}, roles: [guest], clock_tolerance: 1500ms }
  anonymous: { roles: [guest] }
  accept_unknown_credentials: true
  role_precedence: [admin, "null"]
timeouts: { connect: 1500ms, total: 1h }
limits: { body: 1MB, headers: 1KiB, in_flight: 7 }
audit:
  stdout: false
  file: audit/audit.jsonl
  durability: strict
  on_failure: continue
  rotate: { size: 1MiB, every: 90s }
  keep: { days: 3, size: 1GiB }
  heads: { key_env: HEADS, every: 5s, url: "https://heads.example/a", token_env: S, file: heads.jsonl, stdout: true }
log: { level: debug }
`,
  env: { S: secret, HEADS: headsKey },
  files: { '/etc/app/s': `${secret}-and-more`, '/etc/app/id.pem': publicKey },
};

test('no secret is in what is printed, in no spelling of it', () => {
  const text = printConfig(load(given));
  for (const part of [
    secret,
    Buffer.from(secret).toString('base64').slice(0, 40),
    Buffer.from(secret).toString('hex'),
    headsKey.slice(30, 60),
  ]) {
    assert.ok(!text.includes(part));
  }
  assert.match(text, /# secret: \*\*\* \(46 bytes\)\n {4}- algorithm: HS256\n {6}secret_env: S\n/);
  assert.match(text, /# secret: \*\*\* \(55 bytes\)\n {4}- algorithm: HS384\n {6}secret_file: \/etc\/app\/s\n/);
  assert.match(text, /# public key: rsa 2048 bits\n {4}- algorithm: RS256\n {6}public_key_file: \/etc\/app\/id.pem\n/);
});

test('what is printed is a configuration and loads as the same one', () => {
  const config = load(given);
  const text = printConfig(config);
  const again = load({ ...given, yaml: text });
  assert.equal(printConfig(again), text);
  const comparable = ({ identity, ...rest }: typeof config) => ({
    ...rest,
    identity: {
      ...identity,
      jwt: identity.jwt.map(({ key, ...entry }) => ({ ...entry, type: key.type })),
      ollamaKeys: identity.ollamaKeys.map(({ key, ...entry }) => ({ ...entry, x: key.export({ format: 'jwk' }).x })),
    },
  });
  assert.deepEqual(comparable(again), comparable(config));
  assert.ok(again.identity.jwt.every((entry, index) => config.identity.jwt[index]?.key.equals(entry.key)));
});

test('nobody anonymous is printed as nothing, not as an empty list of roles', () => {
  const config = load({
    yaml: 'identity: { jwt: [{ algorithm: HS256, secret_env: S, issuer: a, audience: b }] }',
    env: { S: secret },
  });
  assert.ok(!printConfig(config).includes('anonymous'));
});
