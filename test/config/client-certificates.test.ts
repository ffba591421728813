/** `identity.client_certificates`: one exact matcher an entry, one caller an id. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { faultsOf, load } from './sources.ts';

const authority = issueAuthority('Test authority');
const server = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });
const files = {
  '/etc/app/tls.crt': server.cert,
  '/etc/app/tls.key': server.key,
  '/etc/app/ca.crt': authority.cert,
};
const listen = 'listen: { tls: { cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt } }\n';
const fingerprint = new X509Certificate(server.cert).fingerprint256;
const digits = fingerprint.replaceAll(':', '').toLowerCase();

function given(...entries: readonly string[]) {
  return {
    files,
    yaml: `${listen}identity:\n  client_certificates:\n${entries.map((e) => `    - { ${e} }\n`).join('')}`,
  };
}

function faultOf(...entries: readonly string[]): string {
  const faults = faultsOf(given(...entries));
  assert.equal(faults.length, 1, faults.join('\n'));
  return faults[0] ?? '';
}

test('each matcher is taken, and what is printed loads as the same', () => {
  const config = load(
    given(
      'id: "1", san_uri: "spiffe://example.org/planner", roles: [developer], agent_role: developer, tenant: blue',
      'id: web, san_dns: Web.Example, roles: [guest], permissions: [chat]',
      'id: batch, subject: "O=Example\\\\, Inc., CN=batch + UID=7", roles: [guest]',
      `id: laptop, fingerprint: "${fingerprint}", roles: [guest]`,
      'id: mesh, san_uri: "spiffe://example.org/mesh", carries_tokens: true',
    ),
  );
  const { clientCertificates } = config.identity;
  assert.deepEqual(
    clientCertificates.map(({ match, value }) => [match, value]),
    [
      ['san_uri', 'spiffe://example.org/planner'],
      ['san_dns', 'web.example'],
      ['subject', 'O=Example\\, Inc., CN=batch + UID=7'],
      ['fingerprint', digits],
      ['san_uri', 'spiffe://example.org/mesh'],
    ],
  );
  const { match: _match, value: _value, ...first } = clientCertificates[0] ?? {};
  assert.deepEqual(first, {
    id: '1',
    roles: ['developer'],
    agentRole: 'developer',
    permissions: [],
    tenant: 'blue',
    carriesTokens: false,
  });
  assert.deepEqual(load({ files, yaml: printConfig(config) }).identity, config.identity);
});

test('an entry names its certificates in exactly one way', () => {
  const needs = /client_certificates\[0\]: needs exactly one of san_uri, san_dns, subject, fingerprint/;
  assert.match(faultOf('id: a, roles: [x]'), needs);
  assert.match(faultOf('id: a, roles: [x], san_dns: a.example, san_uri: "urn:a"'), needs);
});

test('a name that could never match is a fault that says so', () => {
  for (const [matcher, fault] of [
    ['san_uri: "spiffe://example.org/*"', /san_uri: .*compared as it stands, "\*" means nothing/],
    ['san_dns: "*.example"', /san_dns: .*compared as it stands/],
    ['subject: "CN=*"', /subject: .*compared as it stands/],
    ['san_uri: planner', /san_uri: "planner" is not a URI/],
    ['san_uri: "spiffe://a b"', /is not a URI/],
    ['san_dns: "a.example, DNS:b.example"', /is not a host name/],
    ['subject: planner', /is not a whole subject/],
    ['subject: "/O=Example/CN=planner"', /is not a whole subject/],
    ['subject: "CN=planner,O=Example"', /is not a whole subject/],
    ['subject: "O=Example, Inc., CN=planner"', /is not a whole subject/],
    ['subject: "CN=a\\nCN=b"', /is not a whole subject/],
    ['fingerprint: aa', /fingerprint: must be the SHA-256 fingerprint/],
    [`fingerprint: "${fingerprint.slice(0, -2)}"`, /must be the SHA-256 fingerprint/],
    [`fingerprint: "${fingerprint.replace(':', '')}"`, /must be the SHA-256 fingerprint/],
    ['fingerprint: 1234', /fingerprint: must be text/],
    ['san_dns: ""', /is not a host name/],
    ['san_dnz: a.example', /san_dnz: unknown member; did you mean identity\.client_certificates\[0\]\.san_dns/],
  ] as const) {
    const faults = faultsOf(given(`id: a, roles: [x], ${matcher}`));
    assert.match(faults.join('\n'), fault, matcher);
  }
});

test('only an entry that carries tokens may have no role', () => {
  assert.match(faultOf('id: a, san_dns: a.example'), /\[0\]\.roles: needs at least one role/);
  assert.match(faultOf('id: a, san_dns: a.example, roles: []'), /\[0\]\.roles: needs at least one role/);
});

test('entries that only carry let nobody in', () => {
  const faults = faultsOf(given('id: a, san_dns: a.example, carries_tokens: true'));
  assert.equal(faults.length, 0 + 1);
  assert.match(faults[0] ?? '', /nobody could enter/);
});

test('one name is one caller, and one id too', () => {
  const a = 'id: a, san_dns: a.example, roles: [x]';
  assert.match(
    faultOf(a, 'id: b, san_dns: A.EXAMPLE, roles: [x]'),
    /client_certificates\[1\]\.san_dns: is the same as that of identity\.client_certificates\[0\]/,
  );
  assert.match(
    faultOf(`id: a, fingerprint: "${digits}", roles: [x]`, `id: b, fingerprint: "${fingerprint}", roles: [x]`),
    /\[1\]\.fingerprint: is the same as/,
  );
  assert.match(
    faultOf(a, 'id: a, san_uri: "urn:a", roles: [x, admin]'),
    /\[1\]\.id: is that of identity\.client_certificates\[0\], which differs/,
  );
  assert.equal(load(given(a, 'id: a, san_uri: "urn:a", roles: [x]')).identity.clientCertificates.length, 2);
});

test('without a listener that asks for certificates it is a fault that says what to do', () => {
  const entry = 'identity: { client_certificates: [{ id: a, san_dns: a.example, roles: [x] }] }\n';
  const advice = /identity\.client_certificates: needs listen\.tls with client_ca_file/;
  for (const yaml of [entry, `${listen.replace(', client_ca_file: ca.crt', '')}${entry}`]) {
    const faults = faultsOf({ files, yaml });
    assert.equal(faults.length, 1, faults.join('\n'));
    assert.match(faults[0] ?? '', advice);
  }
});
