/** Public keys of Ollama's command line, as they stand in the configuration. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { faultsOf, load } from './sources.ts';

/** Made by ssh-keygen for this test; its private key was thrown away. */
const base64 = 'AAAAC3NzaC1lZDI1NTE5AAAAILzzgYkYiYy6AAn7xgcNvvYGAzLUVbEfahV0n0qT3Ffa';
const head = Buffer.from(base64, 'base64').subarray(0, 19);

function withKey(line: string, more = 'id: alice, roles: [dev]'): string {
  return `identity:\n  ollama_keys:\n    - { ${more}, public_key: ${JSON.stringify(line)} }\n`;
}

function faultOf(line: string): string {
  const faults = faultsOf({ yaml: withKey(line) });
  assert.equal(faults.length, 1, faults.join('\n'));
  return faults[0] ?? '';
}

test('the line of id_ed25519.pub is a key, with and without its comment', () => {
  for (const line of [
    `ssh-ed25519 ${base64}`,
    `ssh-ed25519 ${base64} alice@laptop: home\n`,
    `  ssh-ed25519\t${base64}`,
  ]) {
    const [entry] = load({ yaml: withKey(line) }).identity.ollamaKeys;
    assert.equal(entry?.publicKey, base64);
    const raw = Buffer.from(base64, 'base64').subarray(19);
    assert.equal(entry.key.export({ format: 'jwk' }).x, raw.toString('base64url'));
  }
});

test('such a key alone lets somebody in, with defaults for what is not said', () => {
  const { key: _key, ...entry } = load({ yaml: withKey(`ssh-ed25519 ${base64}`) }).identity.ollamaKeys[0] ?? {};
  assert.deepEqual(entry, {
    id: 'alice',
    publicKey: base64,
    roles: ['dev'],
    agentRole: undefined,
    permissions: [],
    tenant: undefined,
    clockToleranceMs: 300_000,
  });
});

test('a key can be set by the environment, comment and all', () => {
  const name = 'OPALLAMA_IDENTITY__OLLAMA_KEYS__0__';
  const env = { [`${name}ID`]: 'ci', [`${name}PUBLIC_KEY`]: `ssh-ed25519 ${base64} a: b`, [`${name}ROLES`]: '[bot]' };
  const [entry] = load({ env }).identity.ollamaKeys;
  assert.deepEqual([entry?.id, entry?.publicKey, entry?.roles], ['ci', base64, ['bot']]);
});

test('what is no Ed25519 key in OpenSSH’s form is refused and said what to write', () => {
  const raw = Buffer.from(base64, 'base64');
  for (const [line, fault] of [
    ['', /must be a line such as "ssh-ed25519 AAAA\.\.\."/],
    [base64, /must be a line such as "ssh-ed25519/],
    [`ssh-rsa ${base64}`, /"ssh-rsa" is no algorithm for it/],
    [`SSH-ED25519 ${base64}`, /is no algorithm for it/],
    [`no-pty ssh-ed25519 ${base64}`, /"no-pty" is no algorithm for it/],
    ['ssh-ed25519', /holds no whole Ed25519 key/],
    [`ssh-ed25519 ${base64.slice(0, -1)}`, /holds no whole Ed25519 key/],
    [`ssh-ed25519 ${base64}=`, /holds no whole Ed25519 key/],
    [`ssh-ed25519 ${raw.toString('base64').slice(0, 64)}`, /holds no whole Ed25519 key/],
    [`ssh-ed25519 ${Buffer.concat([raw, raw]).toString('base64')}`, /holds no whole Ed25519 key/],
    [`ssh-ed25519 ${base64.replace('NTE5', 'NTE4')}`, /holds no whole Ed25519 key/],
  ] as const) {
    assert.match(faultOf(line), /^opallama\.yaml:3:\d+: identity\.ollama_keys\[0\]\.public_key: /);
    assert.match(faultOf(line), fault, line);
  }
});

test('a private key is refused, and nothing of it is shown', () => {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const fault = faultOf(pem);
  assert.match(fault, /is a private key, which has no place here/);
  assert.ok(!fault.includes(pem.split('\n')[1] ?? pem));
});

test('a key under which anybody could sign is refused, in each of its spellings', () => {
  const points = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ].map((hex) => Buffer.from(hex, 'hex'));
  for (const point of points) {
    for (const sign of [0, 0x80]) {
      const spelled = Buffer.from(point);
      spelled[31] = (spelled[31] ?? 0) | sign;
      assert.match(
        faultOf(`ssh-ed25519 ${Buffer.concat([head, spelled]).toString('base64')}`),
        /is a key under which anybody could sign/,
        spelled.toString('hex'),
      );
    }
  }
});

test('an entry names somebody with a role, and a tolerance that is one', () => {
  const line = `ssh-ed25519 ${base64}`;
  for (const [more, fault] of [
    ['id: a', /ollama_keys\[0\]\.roles/],
    ['roles: [a]', /ollama_keys\[0\]\.id/],
    ['id: a, roles: []', /ollama_keys\[0\]\.roles/],
    ['id: "", roles: [a]', /ollama_keys\[0\]\.id/],
    ['id: a, roles: [a], clock_tolerance: 0s', /clock_tolerance: must be from 1s to 1h/],
    ['id: a, roles: [a], clock_tolerance: 61m', /clock_tolerance: must be from 1s to 1h/],
    ['id: a, roles: [a], rolse: [a]', /rolse: unknown member; did you mean identity\.ollama_keys\[0\]\.roles\?/],
  ] as const) {
    const faults = faultsOf({ yaml: withKey(line, more) });
    assert.equal(faults.length, 1, faults.join('\n'));
    assert.match(faults[0] ?? '', fault);
  }
});

test('one key is one caller', () => {
  const line = `ssh-ed25519 ${base64}`;
  const yaml = `${withKey(line)}    - { id: bob, roles: [admin], public_key: "${line} another comment" }\n`;
  assert.deepEqual(
    faultsOf({ yaml }).map((fault) => fault.replace(/^.*?: /, '')),
    ['identity.ollama_keys[1].public_key: is the same key as identity.ollama_keys[0]'],
  );
});
