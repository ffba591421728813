import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, load, secret } from './sources.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const files = {
  '/etc/app/clients.yaml': `clients: [{ id: planner, secret_sha256: [${'a'.repeat(64)}], roles: [developer] }]\n`,
  '/etc/app/broken.yaml': 'clients: [{ id: planner }]\n',
  '/etc/app/rsa.pem': rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  '/etc/app/public.pem': rsa.publicKey.export({ type: 'spki', format: 'pem' }),
  '/etc/app/secret': `${secret}\n`,
};
const env = { SIGNING: secret, SHORT: 'short' };
const yaml = (section: string) =>
  `identity: { token_endpoint: { issuer: https://a.example, audience: opallama, ${section} } }\n`;

test('the key comes from a variable or a file, and is never printed', () => {
  for (const key of [
    'algorithm: HS256, secret_env: SIGNING',
    'algorithm: HS256, secret_file: secret',
    'algorithm: RS256, private_key_file: rsa.pem',
  ]) {
    const config = load({ yaml: yaml(`${key}, clients_file: clients.yaml`), env, files });
    const { tokenEndpoint } = config.identity;
    assert.equal(tokenEndpoint?.clientsFile, '/etc/app/clients.yaml');
    assert.deepEqual([tokenEndpoint?.expiresS, tokenEndpoint?.kid], [900, 'opallama-token']);
    assert.notEqual(tokenEndpoint?.verifyingKey.type, 'private');
    const printed = printConfig(config);
    assert.ok(!printed.includes(secret) && !printed.includes('PRIVATE'));
    assert.equal(printConfig(load({ yaml: printed, env, files })), printed);
  }
});

for (const [section, fault] of [
  ['algorithm: HS256', 'identity.token_endpoint: HS256 needs a key: set secret_env or secret_file'],
  ['algorithm: RS256', 'identity.token_endpoint: RS256 needs a key: set private_key_file'],
  ['algorithm: HS256, secret_env: SHORT', /the secret has 5 bytes; HS256 needs at least 32/],
  ['algorithm: HS256, private_key_file: rsa.pem', /private_key_file: does not go with HS256; set secret_env or/],
  ['algorithm: RS256, secret_env: SIGNING', /secret_env: does not go with RS256; set private_key_file/],
  ['algorithm: RS256, private_key_file: public.pem', /private_key_file: holds no private key in PEM/],
  ['algorithm: RS256, private_key_file: away.pem', /private_key_file: cannot read \/etc\/app\/away.pem \(ENOENT\)/],
  ['algorithm: ES256, private_key_file: rsa.pem', /ES256 needs a key on the curve/],
  ['algorithm: HS256, secret_env: SIGNING, expires: 10s', /expires: must be from 1m to 24h/],
  ['algorithm: HS256, secret_env: SIGNING, clients_file: away.yaml', /clients_file: cannot read .*ENOENT/],
  ['algorithm: HS256, secret_env: SIGNING, clients_file: broken.yaml', /broken.yaml: clients.0.secret_sha256/],
] as const) {
  test(`a token endpoint is refused: ${section}`, () => {
    const whole = section.includes('clients_file') ? section : `${section}, clients_file: clients.yaml`;
    const faults = faultsOf({ yaml: yaml(whole), env, files }).join('\n');
    if (typeof fault === 'string') assert.ok(faults.includes(fault), faults);
    else assert.match(faults, fault);
    assert.ok(!faults.includes(secret));
  });
}
