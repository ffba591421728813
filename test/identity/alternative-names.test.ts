/** Names of certificates: what stands in one name never becomes a second one, nor another kind of name. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';

import { readAlternativeNames } from '../../src/identity/alternative-names.ts';
import { issue } from '../support/certificates.ts';

function namesIn(dns: readonly string[], uris: readonly string[] = []) {
  const { cert } = issue({ name: { CN: 'x' }, dns, uris, ips: ['10.0.0.1'] });
  return readAlternativeNames(new X509Certificate(cert).subjectAltName ?? '');
}

test('names of each kind are read, and those of other kinds passed over', () => {
  assert.deepEqual(namesIn(['a.example', 'B.Example'], ['spiffe://x/A', 'urn:y']), {
    dns: ['a.example', 'b.example'],
    uri: ['spiffe://x/A', 'urn:y'],
  });
  assert.deepEqual(readAlternativeNames(''), { dns: [], uri: [] });
});

const hostile = [
  'evil.example, DNS:admin.example',
  'evil.example,DNS:admin.example',
  'evil.example\0.admin.example',
  'admin.example\0',
  '"admin.example"',
  '", DNS:admin.example, DNS:"',
  '\\", DNS:admin.example',
  'evil.example\n, DNS:admin.example',
  'evil.example\\u002c DNS:admin.example',
  "'admin.example'",
  'DNS:admin.example',
  'URI:spiffe://x/admin',
  ', ',
  '',
  ' ',
  'admin.example ',
  ' admin.example',
  '*.example',
  'ädmin.example',
];

for (const name of hostile) {
  test(`${JSON.stringify(name)} is one name, and no other`, () => {
    const read = namesIn([name], ['spiffe://x/good', `spiffe://x/${name}`]);
    const asBytes = Buffer.from(name).toString('latin1');
    const lower = asBytes.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    assert.deepEqual(read, { dns: [lower], uri: ['spiffe://x/good', `spiffe://x/${asBytes}`] });
  });
}

test('names of other kinds are none of these, whatever stands in them', () => {
  for (const name of ['admin.example', 'spiffe://x/admin', ...hostile.filter((one) => one !== '')]) {
    const { cert } = issue({
      name: { CN: name },
      emails: [name],
      directories: [{ O: name, CN: name }],
      principals: [name],
      dns: ['a.example'],
      uris: ['urn:z'],
    });
    const text = new X509Certificate(cert).subjectAltName ?? '';
    assert.deepEqual(readAlternativeNames(text), { dns: ['a.example'], uri: ['urn:z'] }, text);
  }
});

test('names made of what separates and quotes names are read back as they were made', () => {
  const parts = ['a', '"', '\\', ',', ', ', 'DNS:', 'URI:', '\0', "'", 'u002c', ':', ' ', '\n', 'é'];
  // A linear congruential generator, so that a failure comes again.
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const make = (): string => Array.from({ length: next(6) }, () => parts[next(parts.length)] ?? '').join('');
  for (let round = 0; round < 60; round += 1) {
    const uris = Array.from({ length: 1 + next(8) }, make);
    assert.deepEqual(
      namesIn([], uris)?.uri,
      uris.map((uri) => Buffer.from(uri).toString('latin1')),
    );
  }
});

test('a text that is not read to its end gives no name at all', () => {
  for (const text of [
    'DNS:a.example, ',
    'DNS:a.example,URI:spiffe://x/y',
    'DNS:a.example, nonsense',
    'DNS:"a.example',
    'DNS:a"b, DNS:c',
    'DNS:"a"b, DNS:c',
    'DNS:"a\nb"',
    String.raw`DNS:"a\x41b"`,
    ', DNS:a.example',
  ])
    assert.equal(readAlternativeNames(text), undefined, text);
});
