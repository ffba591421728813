/** `identity.issuers`, `identity.api_keys` and `identity.revocations`: what is read from them, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { issueAuthority } from '../support/certificates.ts';
import { faultsOf, load } from './sources.ts';

const issuer = '{ issuer: "https://id.example/realms/a", audience: opallama, algorithms: [RS256] }';

function identity(text: string): string {
  return `identity: { ${text} }\n`;
}

test('an issuer needs no more than its name, the audience and the algorithms', () => {
  const [config] = load({ yaml: identity(`issuers: [${issuer}]`) }).identity.issuers;
  assert.deepEqual(config, {
    issuer: 'https://id.example/realms/a',
    audience: 'opallama',
    algorithms: ['RS256'],
    jwksUrl: undefined,
    claims: {},
    clockToleranceS: 0,
    tls: undefined,
    timeout: 5_000,
    refresh: 300_000,
    refreshMin: 30_000,
    refreshMax: 900_000,
    stale: 86_400_000,
  });
});

const slips: readonly (readonly [string, RegExp])[] = [
  [issuer.replace('https', 'http'), /issuer: must be a URL that begins with https/],
  [issuer.replace('realms/a', '?a=b'), /issuer: must be a URL that begins with https/],
  [issuer.replace('RS256', 'HS256'), /algorithms\[0\]: must be one of RS256/],
  [issuer.replace('RS256', 'none'), /algorithms\[0\]: must be one of RS256/],
  [issuer.replace('[RS256]', '[]'), /algorithms: /],
  [issuer.replace(' }', ', jwks_url: "http://id.example/keys" }'), /jwks_url: .* must be a URL that begins with https/],
  [issuer.replace(' }', ', jwks_url: "https://u:p@id.example/" }'), /jwks_url: .* without user name/],
  [issuer.replace(' }', ', refresh: 10ms }'), /refresh: must be at least 1s/],
  [issuer.replace(' }', ', refresh_min: 1h }'), /refresh_min: must not be more than refresh_max/],
  [issuer.replace(' }', ', timeout: 0s }'), /timeout: must be from 100ms to 60s/],
  [issuer.replace(' }', ', clock_tolerance: 6m }'), /clock_tolerance: must be at most 5m/],
  [`${issuer}, ${issuer}`, /issuers\[1\]\.issuer: is, with this audience, identity\.issuers\[0\] too/],
  [issuer.replace(' }', ', tls: { ca_file: none.pem } }'), /tls\.ca_file: cannot read/],
];

for (const [text, fault] of slips) {
  test(`an issuer is refused: ${fault.source}`, () => {
    assert.match(faultsOf({ yaml: identity(`issuers: [${text}]`) }).join('\n'), fault);
  });
}

test('without https an issuer is known by jwks_url alone', () => {
  const text = issuer
    .replace('https://id.example/realms/a', 'any text')
    .replace(' }', ', jwks_url: "https://k.example/k?v=1" }');
  const [config] = load({ yaml: identity(`issuers: [${text}]`) }).identity.issuers;
  assert.deepEqual([config?.issuer, config?.jwksUrl?.href], ['any text', 'https://k.example/k?v=1']);
});

test('an issuer, API keys or nothing else are enough for somebody to enter; a list of revocations is not', () => {
  assert.equal(load({ yaml: identity('api_keys: { file: keys.yaml }') }).identity.apiKeysFile, '/etc/app/keys.yaml');
  const faults = faultsOf({ yaml: identity('revocations: { file: revoked.yaml }') });
  assert.match(faults.join(), /nobody could enter/);
});

test('what is printed of them loads as the same', () => {
  const members = `tls: { ca_file: ca.pem, server_name: ID.example }, claims: { roles: a.b }, clock_tolerance: 3s,
    timeout: 1500ms, refresh: 2m, refresh_min: 2s, refresh_max: 3m, stale: 4h, jwks_url: "https://k.example/k"`;
  const given = {
    yaml: `identity: { issuers: [${issuer.replace(' }', `, ${members} }`)}], removed_key_grace: 90s,
  api_keys: { file: keys.yaml }, revocations: { file: /run/revoked.yaml } }\n`,
    files: { '/etc/app/ca.pem': issueAuthority('ca').cert },
  };
  const config = load(given);
  assert.equal(config.identity.issuers[0]?.tls?.serverName, 'id.example');
  const again = load({ ...given, yaml: printConfig(config) });
  assert.deepEqual(again.identity, config.identity);
  assert.equal(config.identity.removedKeyGrace, 90_000);
});
