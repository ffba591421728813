/** What of certificates, keys and authorities is refused before anything is secured with them. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { checkMaterial } from '../../src/tls/material.ts';
import { faultsOf, guests, load } from '../config/sources.ts';
import { type Issued, issue, issueAuthority } from '../support/certificates.ts';

const authority = issueAuthority('Test authority');
const server = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });
const now = Date.now();

function faults(cert: string, key: string, ca?: string, at = now): string[] {
  const [certBytes, keyBytes] = [Buffer.from(cert), Buffer.from(key)];
  const checked = checkMaterial({ cert: certBytes, key: keyBytes, ca: ca === undefined ? ca : Buffer.from(ca) }, at);
  return 'faults' in checked ? checked.faults.map(({ part, text }) => `${part}: ${text}`) : [];
}

const encrypted = ({ key }: Issued) =>
  createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();

test('a certificate with its key and its chain is taken, and says when it expires', () => {
  const checked = checkMaterial({ cert: Buffer.from(server.cert + authority.cert), key: Buffer.from(server.key) }, now);
  assert.ok('material' in checked);
  assert.equal(checked.material.subject, 'CN=sidecar');
  assert.ok((checked.material.expiresMs ?? 0) > now);
});

test('each thing that is wrong is said, all of them together', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const later = now + 31 * 86_400_000;
  assert.deepEqual(faults(server.cert, authority.key), ['key: does not belong to the certificate']);
  assert.deepEqual(faults(server.cert, rsa.toString()), ['key: does not belong to the certificate']);
  assert.deepEqual(faults(authority.cert + server.cert, server.key), [
    "cert: the key's own certificate must come first, then those that signed it",
  ]);
  assert.deepEqual(faults('hello', 'hello', 'hello'), [
    'cert: holds no certificate in PEM',
    'key: holds no private key in PEM that can be read',
    'ca: holds no certificate in PEM',
  ]);
  assert.match(faults(server.cert, encrypted(server))[0] ?? '', /^key: is encrypted; write it without a passphrase/);
  assert.match(faults(server.cert, server.key, undefined, later)[0] ?? '', /^cert: expired on 20/);
  assert.match(faults(server.cert, server.key, undefined, now - 2 * 86_400_000)[0] ?? '', /^cert: is not valid before/);
  assert.match(faults(server.cert, server.key, authority.cert, later)[1] ?? '', /^ca: every certificate in it has exp/);
  assert.deepEqual(faults(server.cert.replace('MII', '!!!').replace(/\nMI/, '\n!!'), server.key), [
    'cert: holds a certificate that cannot be read',
  ]);
});

const files = {
  '/etc/app/tls.crt': server.cert,
  '/etc/app/tls.key': server.key,
  '/etc/app/ca.crt': authority.cert,
};
const yaml = `${guests}listen: { tls: { cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt } }
upstream: { base_url: https://ollama.example, tls: { ca_file: ca.crt, cert_file: tls.crt, key_file: tls.key } }
`;

test('the configuration names files, and what is printed of it loads as the same and holds no key', () => {
  const config = load({ yaml, files });
  assert.equal(config.listen.tls?.clientAuth, 'require');
  assert.equal(config.listen.tls?.minVersion, 'TLSv1.2');
  const printed = printConfig(config);
  assert.match(
    printed,
    /# certificate of CN=sidecar, until .*; private key: \*\*\*\n {4}cert_file: \/etc\/app\/tls.crt/,
  );
  assert.ok(!printed.includes(server.key.split('\n')[1] ?? server.key));
  assert.deepEqual(load({ yaml: printed, files }), config);
});

test('faults of the files and of the members around them are reported together, each with its place', () => {
  const wrong = `${guests}listen: { tls: { cert_file: tls.crt, key_file: gone.key, client_auth: request, min_versoin: 1 } }
upstream: { base_url: http://ollama.example, tls: { cert_file: tls.crt, ca_file: tls.key, server_name: "a b" } }
`;
  assert.deepEqual(faultsOf({ yaml: wrong, files }), [
    'opallama.yaml:2:38: listen.tls.key_file: cannot read /etc/app/gone.key (ENOENT)',
    'opallama.yaml:2:58: listen.tls.client_auth: needs client_ca_file, by which certificates of callers are verified',
    'opallama.yaml:2:80: listen.tls.min_versoin: unknown member; did you mean listen.tls.min_version?',
    'opallama.yaml:3:73: upstream.tls.ca_file: holds no certificate in PEM',
    'opallama.yaml:3:91: upstream.tls.server_name: "a b" is not a host name',
  ]);
  assert.deepEqual(
    faultsOf({
      yaml: `${guests}listen: { tls: { cert_file: tls.crt, key_file: tls.key, client_auth: request } }`,
      files,
    }),
    ['opallama.yaml:2:57: listen.tls.client_auth: needs client_ca_file, by which certificates of callers are verified'],
  );
  assert.deepEqual(faultsOf({ yaml: `${guests}upstream: { tls: { cert_file: tls.crt } }`, files }), [
    'opallama.yaml:2:20: upstream.tls.cert_file: needs key_file, the private key of the certificate',
  ]);
  assert.deepEqual(faultsOf({ yaml: `${guests}upstream: { tls: { ca_file: ca.crt } }`, files }), [
    'opallama.yaml:2:13: upstream.tls: needs an upstream whose URL begins with https://',
  ]);
});
