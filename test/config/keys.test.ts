import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, KeyObject, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isSameKey } from '../../src/config/keys.ts';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, load, secret } from './sources.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

/** Made by openssl for this test; its private key was thrown away. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS2gAwIBAgIUFJscHWxIF54D7gFlkctwlztaRPEwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNb3BhbGxhbWEtdGVzdDAgFw0yNjExMjExMDEyMDRaGA8yMTI2
MTAyODEwMTIwNFowGDEWMBQGA1UEAwwNb3BhbGxhbWEtdGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABJGYw8EfE9opVDAZw502WtvgVMuXv8uhrMG/yQK5LNAp
HqqpkRyC8fPUIpzok+8qrPPhcfQiuAasNTD+GI5eH3CjUzBRMB0GA1UdDgQWBBSk
QIgctKySn9+2C0TqWmVA73qLEzAfBgNVHSMEGDAWgBSkQIgctKySn9+2C0TqWmVA
73qLEzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCrtZ6yVJG1
coD/psRj8QfmIr9LdhuE80PyitFNoI7BIgIhAPAkQa5uLCR2LySzeuZq+k05yp/1
zny4qLYZcVIBXkKR
-----END CERTIFICATE-----
`;

function pem(key: unknown): string {
  assert.ok(key instanceof KeyObject);
  return key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }).toString();
}

function entry(members: string): string {
  return `identity:\n  jwt:\n    - { issuer: a, audience: b, ${members} }\n`;
}

/** Loads one entry of `identity.jwt` whose key is in the file `key`. */
function loadFile(algorithm: string, content: string | Uint8Array, member = 'public_key_file') {
  const [jwt] = load({
    yaml: entry(`algorithm: ${algorithm}, ${member}: key`),
    files: { '/etc/app/key': content },
  }).identity.jwt;
  assert.ok(jwt);
  return jwt;
}

function faultsOfFile(algorithm: string, content: string | Uint8Array, member = 'public_key_file'): string {
  const faults = faultsOf({
    yaml: entry(`algorithm: ${algorithm}, ${member}: key`),
    files: { '/etc/app/key': content },
  });
  assert.equal(faults.length, 1, faults.join('\n'));
  return faults[0] ?? '';
}

test('a secret comes from a variable or from a file, whose last line feed is not part of it', () => {
  const yaml = entry('algorithm: HS256, secret_env: S');
  const [jwt] = load({ yaml, env: { S: secret } }).identity.jwt;
  assert.deepEqual(jwt?.key.export(), Buffer.from(secret));
  for (const content of [secret, `${secret}\n`, `${secret}\r\n`]) {
    assert.deepEqual(loadFile('HS256', content, 'secret_file').key.export(), Buffer.from(secret));
  }
  assert.deepEqual(loadFile('HS256', `${secret}\n\n`, 'secret_file').key.export(), Buffer.from(`${secret}\n`));
});

test('a secret has at least the size of its hash (RFC 7518 section 3.2), counted in bytes', () => {
  for (const [algorithm, bytes] of [
    ['HS256', 32],
    ['HS384', 48],
    ['HS512', 64],
  ] as const) {
    assert.equal(loadFile(algorithm, 'x'.repeat(bytes), 'secret_file').algorithm, algorithm);
    assert.match(
      faultsOfFile(algorithm, 'x'.repeat(bytes - 1), 'secret_file'),
      new RegExp(`secret_file: the secret has ${bytes - 1} bytes; ${algorithm} needs at least ${bytes}\\.`),
    );
  }
  assert.equal(loadFile('HS256', 'ä'.repeat(16), 'secret_file').key.symmetricKeySize, 32);
});

test('public keys fit their algorithm and are loaded as they are', () => {
  const pss = generateKeyPairSync('rsa-pss', {
    modulusLength: 2048,
    hashAlgorithm: 'sha256',
    mgf1HashAlgorithm: 'sha256',
  });
  const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
  const p521 = generateKeyPairSync('ec', { namedCurve: 'secp521r1' });
  for (const [algorithm, { publicKey }] of [
    ['RS256', rsa],
    ['RS512', rsa],
    ['PS384', rsa],
    ['PS256', pss],
    ['ES256', p256],
    ['ES384', p384],
    ['ES512', p521],
  ] as const) {
    const { key } = loadFile(algorithm, pem(publicKey));
    assert.equal(key.type, 'public');
    assert.ok(key.equals(publicKey), algorithm);
  }
  assert.match(faultsOfFile('PS512', pem(pss.publicKey)), /bound to sha256; PS512 needs sha512$/);
  assert.match(faultsOfFile('RS256', pem(pss.publicKey)), /RS256 needs an RSA key; this is one of type rsa-pss$/);
});

test('a certificate serves as a public key', () => {
  assert.ok(loadFile('ES256', certificate).key.equals(new X509Certificate(certificate).publicKey));
});

test('a key that is of another kind, too small or on another curve is refused', () => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const ed = generateKeyPairSync('ed25519').publicKey;
  assert.match(faultsOfFile('RS256', pem(small)), /RSA keys need at least 2048 bits; this one has 1024$/);
  assert.match(
    faultsOfFile('ES384', pem(p256.publicKey)),
    /ES384 needs the curve secp384r1; this key is on prime256v1$/,
  );
  assert.match(
    faultsOfFile('ES256', pem(rsa.publicKey)),
    /ES256 needs a key on the curve prime256v1; this is one of type rsa$/,
  );
  assert.match(faultsOfFile('RS256', pem(p256.publicKey)), /RS256 needs an RSA key; this is one of type ec$/);
  assert.match(faultsOfFile('ES256', pem(ed)), /this is one of type ed25519$/);
});

test('a private key is refused where a public one belongs, and nothing of it is shown', () => {
  const text = pem(rsa.privateKey);
  const fault = faultsOfFile('RS256', text);
  assert.match(fault, /^opallama\.yaml:3:\d+: identity\.jwt\[0\]\.public_key_file: this is a private key/);
  assert.ok(!fault.includes(text.split('\n')[1] ?? text));
  assert.match(faultsOfFile('RS256', pem(rsa.publicKey) + text), /this is a private key/);
});

test('a public key as a secret is refused: anybody could sign with it', () => {
  assert.match(faultsOfFile('HS256', pem(rsa.publicKey), 'secret_file'), /this is a public key and no secret/);
  assert.match(faultsOfFile('HS256', certificate, 'secret_file'), /this is a public key and no secret/);
});

test('what is no key, or more than one, is refused', () => {
  const both = pem(rsa.publicKey) + pem(p256.publicKey);
  assert.match(faultsOfFile('RS256', both), /must hold one public key or certificate in PEM; this holds 2$/);
  assert.match(faultsOfFile('RS256', 'hello'), /this holds 0$/);
  assert.match(faultsOfFile('RS256', pem(rsa.publicKey).replace('MII', '!!!')), /holds no public key or certificate/);
  assert.match(
    faultsOfFile('RS256', createPublicKey(rsa.privateKey).export({ type: 'spki', format: 'der' })),
    /this holds 0$/,
  );
});

test('an entry names exactly one key, of the kind that its algorithm takes', () => {
  const env = { S: secret };
  for (const [members, fault] of [
    ['algorithm: HS256', 'opallama.yaml:3:7: identity.jwt[0]: HS256 needs a key: set secret_env or secret_file'],
    ['algorithm: ES256', 'opallama.yaml:3:7: identity.jwt[0]: ES256 needs a key: set public_key_file'],
    [
      'algorithm: HS256, secret_env: S, secret_file: s',
      'opallama.yaml:3:66: identity.jwt[0].secret_file: one key an entry; remove all but one of secret_env, secret_file',
    ],
    [
      'algorithm: RS256, secret_env: S',
      'opallama.yaml:3:51: identity.jwt[0].secret_env: does not go with RS256; set public_key_file',
    ],
    [
      'algorithm: HS256, public_key_file: k',
      'opallama.yaml:3:51: identity.jwt[0].public_key_file: does not go with HS256; set secret_env or secret_file',
    ],
    [
      'algorithm: HS256, secret_env: MISSING',
      'opallama.yaml:3:51: identity.jwt[0].secret_env: the variable MISSING is not set',
    ],
    [
      'algorithm: HS256, secret_file: gone',
      'opallama.yaml:3:51: identity.jwt[0].secret_file: cannot read /etc/app/gone (ENOENT)',
    ],
    [
      'algorithm: HS256, secret_env: "$S"',
      'opallama.yaml:3:51: identity.jwt[0].secret_env: must be the name of an environment variable',
    ],
    [
      'algorithm: HS256, secret_evn: S',
      'opallama.yaml:3:51: identity.jwt[0].secret_evn: unknown member; did you mean identity.jwt[0].secret_env?',
    ],
    ['secret_env: S', 'opallama.yaml:3:7: identity.jwt[0].algorithm: is missing'],
  ] as const) {
    assert.deepEqual(faultsOf({ yaml: entry(members), env }), [fault], members);
  }
});

test('no algorithm means no key, and none is no algorithm', () => {
  for (const algorithm of ['none', 'None', 'EdDSA', 'HS1', '""']) {
    const [fault, ...more] = faultsOf({ yaml: entry(`algorithm: ${algorithm}, secret_env: S`), env: { S: secret } });
    assert.match(fault ?? '', /identity\.jwt\[0\]\.algorithm: must be one of HS256, /);
    assert.deepEqual(more, []);
  }
});

test('a secret in the file is refused with advice, and not repeated', () => {
  const faults = faultsOf({ yaml: entry(`algorithm: HS256, secret: ${secret}`) });
  assert.deepEqual(faults, [
    'opallama.yaml:3:51: identity.jwt[0].secret: a secret never stands in the configuration; name its variable in secret_env or its file in secret_file',
  ]);
});

test('issuer and audience are required and not empty', () => {
  const yaml = 'identity: { jwt: [{ algorithm: HS256, secret_env: S, issuer: "" }] }\n';
  assert.deepEqual(faultsOf({ yaml, env: { S: secret } }), [
    'opallama.yaml:1:19: identity.jwt[0].audience: is missing',
    'opallama.yaml:1:54: identity.jwt[0].issuer: must not be empty',
  ]);
});

test('clocks may differ by minutes and not by more', () => {
  const env = { S: secret };
  const [jwt] = load({ yaml: entry('algorithm: HS256, secret_env: S, clock_tolerance: 5m'), env }).identity.jwt;
  assert.equal(jwt?.clockToleranceS, 300);
  assert.match(
    faultsOf({ yaml: entry('algorithm: HS256, secret_env: S, clock_tolerance: 6m'), env })[0] ?? '',
    /clock_tolerance: must be at most 5m$/,
  );
});

test('several keys may share kid, algorithm and issuer, as long as they are several', () => {
  const line = (name: string) => `    - { issuer: a, audience: b, algorithm: HS256, kid: k, secret_env: ${name} }\n`;
  const yaml = `identity:\n  jwt:\n${line('S')}${line('T')}`;
  assert.equal(load({ yaml, env: { S: secret, T: `${secret}!` } }).identity.jwt.length, 2);
  assert.deepEqual(faultsOf({ yaml, env: { S: secret, T: secret } }), [
    'opallama.yaml:4:7: identity.jwt[1]: is the same key as identity.jwt[0]',
  ]);
});

test('where claims stand can be said, and only for claims that are read', () => {
  const env = { S: secret };
  const members = 'algorithm: HS256, secret_env: S';
  const [jwt] = load({ yaml: entry(`${members}, claims: { roles: realm_access.roles }`), env }).identity.jwt;
  assert.deepEqual(jwt?.claims, { roles: 'realm_access.roles' });
  assert.match(
    faultsOf({ yaml: entry(`${members}, claims: { role: x }`), env })[0] ?? '',
    /claims\.role: unknown member; did you mean identity\.jwt\[0\]\.claims\.roles\?$/,
  );
});

test('a claim whose name has dots is named by a list, and prefixes stand beside the paths', () => {
  const claims = `{ roles: ["https://id.example/roles", list], roles_prefix: "app-", permissions: scp }`;
  const config = load({
    yaml: entry(`algorithm: HS256, secret_env: S, claims: ${claims}`),
    env: { S: secret },
  });
  assert.deepEqual(config.identity.jwt[0]?.claims, {
    roles: ['https://id.example/roles', 'list'],
    roles_prefix: 'app-',
    permissions: 'scp',
  });
  const printed = printConfig(config);
  assert.equal(printConfig(load({ yaml: printed, env: { S: secret } })), printed);
});

test('a path of claims that could never be followed is refused', () => {
  const env = { S: secret };
  for (const path of [
    'a..b',
    '.a',
    'https://id.example/roles',
    'x.__proto__',
    'constructor',
    '""',
    '[]',
    '[""]',
    '[constructor]',
  ]) {
    const yaml = entry(`algorithm: HS256, secret_env: S, claims: { roles: ${path} }`);
    assert.match(faultsOf({ yaml, env })[0] ?? '', /^opallama\.yaml:3:\d+: identity\.jwt\[0\]\.claims\.roles: /, path);
  }
});

test('keys of two types are compared without an effect on the key that is read next', () => {
  assert.equal(isSameKey(rsa.publicKey, p256.publicKey), false);
  assert.ok(createPrivateKey(pem(p256.privateKey)));
  assert.equal(isSameKey(p256.publicKey, createPublicKey(p256.privateKey)), true);
  assert.equal(isSameKey(p256.publicKey, p256.privateKey), false);
});
