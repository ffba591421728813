/** Bundles that must be signed, signed by the real `opa` and by `opallama build`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';

import jwt from 'jsonwebtoken';
import type { SignatureConfig } from '../../src/configured/policy.ts';
import { PolicyError } from '../../src/errors.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { signBundle } from '../../src/policy/sign-bundle.ts';
import { readPolicyFiles, readPolicySource } from '../../src/policy/source.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../support/opa-cli.ts';

const run = promisify(execFile);
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
const secret = createSecretKey(Buffer.alloc(32, 5));

const config: SignatureConfig = {
  algorithm: 'RS256',
  key: pair.publicKey,
  keyId: undefined,
  scope: undefined,
  excludeFiles: [],
};

const content = new Map<string, Uint8Array>([
  ['authz.rego', Buffer.from('package ollama.authz\nallow := false\n')],
  ['lists/data.json', Buffer.from('{"b": [1.0, 1e3, 12345678901234567890, "\\u2028<é"], "a": {"z": null, "y": true}}')],
  ['more/data.yaml', Buffer.from('names:\n  - a\n  - "b"\n')],
  ['.manifest', Buffer.from('{"revision": "r1", "roots": [""]}')],
]);

type Files = Map<string, Uint8Array>;

const sign = (files: ReadonlyMap<string, Uint8Array>, claims = {}, key: KeyObject = pair.privateKey): Files =>
  new Map(files).set('.signatures.json', signBundle(files, { key, algorithm: 'RS256', claims }));

async function read(t: TestContext, files: Files, signature: SignatureConfig = config) {
  const directory = makeDirectory(t);
  const path = join(directory, 'b.tar.gz');
  writeFileSync(path, await packBundle(files));
  return readBundle(path, signature);
}

test('a bundle that is signed whole is read', async (t) => {
  const { files, revision } = await read(t, sign(content));
  assert.deepEqual([...files.keys()].sort(), ['authz.rego', 'lists/data.json', 'more/data.yaml']);
  assert.equal(revision, 'r1');
  await read(t, sign(content, { scope: 'prod', keyid: 'k1' }), { ...config, scope: 'prod', keyId: 'k1' });
  const hs = { key: secret, algorithm: 'HS256' } as const;
  const files2 = new Map(content).set('.signatures.json', signBundle(content, { ...hs, claims: {} }));
  await read(t, files2, { ...config, ...hs });
});

const envelope = (token: string | readonly string[]) =>
  Buffer.from(JSON.stringify({ signatures: typeof token === 'string' ? [token] : token }));
const tokenOf = (claims: object, options: jwt.SignOptions = {}) =>
  jwt.sign(claims, pair.privateKey, { algorithm: 'RS256', noTimestamp: true, ...options });
const listed = (files: ReadonlyMap<string, Uint8Array>): unknown[] => {
  const { signatures }: { signatures: string[] } = JSON.parse(
    Buffer.from(sign(files).get('.signatures.json') ?? '').toString(),
  );
  const payload = jwt.decode(signatures[0] ?? '', { json: true });
  return Array.isArray(payload?.['files']) ? payload['files'] : [];
};
const changed = (name: string, text: string) => sign(content).set(name, Buffer.from(text));
const without = (name: string): Files => {
  const files = sign(content);
  files.delete(name);
  return files;
};
const withToken = (token: string | readonly string[]) => new Map(content).set('.signatures.json', envelope(token));

const refused: ReadonlyArray<readonly [string, () => Files, RegExp, Partial<SignatureConfig>?]> = [
  ['not signed', () => new Map(content), /has no \.signatures\.json/],
  ['stripped of its signatures', () => withToken([]), /without a signature that can be read/],
  [
    'signed by a plugin',
    () => new Map(content).set('.signatures.json', Buffer.from('{"signatures":["x"],"plugin":"p"}')),
    /can be read/,
  ],
  ['signed in words', () => new Map(content).set('.signatures.json', Buffer.from('yes')), /can be read/],
  [
    'signed twice',
    () => withToken([tokenOf({ files: listed(content) }), tokenOf({ files: listed(content) })]),
    /has 2 signatures/,
  ],
  [
    'with a file that nobody signed',
    () => changed('extra.rego', 'package ollama.authz\nallow := true\n'),
    /extra\.rego: signature: is not in the signature/,
  ],
  [
    'with a file that is another one',
    () => changed('authz.rego', 'package ollama.authz\nallow := true\n'),
    /authz\.rego: signature: is not what was signed/,
  ],
  ['with other data', () => changed('lists/data.json', '{"b": []}'), /lists\/data\.json: signature: is not what/],
  [
    'with another number that looks the same',
    () =>
      changed('lists/data.json', String(Buffer.from(content.get('lists/data.json') ?? '')).replace('567890', '567891')),
    /is not what/,
  ],
  [
    'with another manifest',
    () => changed('.manifest', '{"revision": "r2", "roots": [""]}'),
    /\.manifest: signature: is not what/,
  ],
  [
    'without its manifest',
    () => without('.manifest'),
    /\.manifest: signature: is in the signature and not in the bundle/,
  ],
  ['without a file', () => without('more/data.yaml'), /more\/data\.yaml: signature: is in the signature and not/],
  ['signed by somebody else', () => sign(content, {}, stranger.privateKey), /does not count: invalid signature/],
  [
    'signed by nobody',
    () => withToken(jwt.sign({ files: listed(content) }, '', { algorithm: 'none' })),
    /does not count/,
  ],
  [
    'signed with the public key as a secret',
    () =>
      withToken(
        jwt.sign(
          { files: listed(content) },
          createSecretKey(Buffer.from(pair.publicKey.export({ type: 'spki', format: 'pem' }))),
          { algorithm: 'HS256' },
        ),
      ),
    /does not count: invalid algorithm/,
  ],
  [
    'signed with another algorithm',
    () => withToken(tokenOf({ files: listed(content) }, { algorithm: 'RS512' })),
    /invalid algorithm/,
  ],
  ['signed without a list', () => withToken(tokenOf({})), /lists no files/],
  [
    'signed for an empty list',
    () => withToken(tokenOf({ files: [] })),
    /authz\.rego: signature: is not in the signature/,
  ],
  ['whose signature has expired', () => withToken(tokenOf({ files: listed(content), exp: 1 })), /jwt expired/],
  ['listed twice', () => withToken(tokenOf({ files: [...listed(content), ...listed(content)] })), /stands twice/],
  [
    'hashed by MD5',
    () => withToken(tokenOf({ files: listed(content).map((file) => Object.assign({}, file, { algorithm: 'MD5' })) })),
    /is hashed by "MD5"/,
  ],
  [
    'signed for another scope',
    () => sign(content, { scope: 'test' }),
    /for the scope "test", not "prod"/,
    { scope: 'prod' },
  ],
  ['signed for some scope where none is meant', () => sign(content, { scope: 'test' }), /for the scope "test", not ""/],
  ['signed for no scope where one is meant', () => sign(content), /for the scope "", not "prod"/, { scope: 'prod' }],
  [
    'signed by a key of another name',
    () => sign(content, { keyid: 'k2' }),
    /by the key "k2", not "k1"/,
    { keyId: 'k1' },
  ],
];

for (const [what, files, message, over] of refused) {
  test(`a bundle ${what} is refused`, async (t) => {
    await assert.rejects(read(t, files(), { ...config, ...over }), (error) => {
      assert.ok(error instanceof PolicyError);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('what need not be signed may be another file, or none', async (t) => {
  const excluded = { ...config, excludeFiles: ['more/data.yaml'] };
  await read(t, changed('more/data.yaml', 'names: []'), excluded);
  await read(t, without('more/data.yaml'), excluded);
  await assert.rejects(read(t, changed('authz.rego', ''), excluded));
});

test('a directory or a single file is not signed, so it is refused', async (t) => {
  const directory = makeDirectory(t);
  writeFileSync(join(directory, 'authz.rego'), 'package ollama.authz\n');
  await assert.rejects(readPolicySource(directory, { signature: config }), /asks for a signed bundle/);
  await assert.rejects(readPolicyFiles(directory, config), /asks for a signed bundle/);
  await assert.rejects(readPolicyFiles(join(directory, 'authz.rego'), config), /asks for a signed bundle/);
});

test('bundles that the real opa signed are read, and not when they were changed', {
  skip: noGo,
  timeout: buildLimitMs,
}, async (t) => {
  const directory = makeDirectory(t);
  const policy = join(directory, 'policy');
  for (const [name, bytes] of content) {
    mkdirSync(join(policy, name, '..'), { recursive: true });
    writeFileSync(join(policy, name), bytes);
  }
  const key = join(directory, 'key.pem');
  writeFileSync(key, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(join(directory, 'claims.json'), '{"scope": "prod", "keyid": "k1"}');
  const bundle = join(directory, 'bundle.tar.gz');
  const claims = ['--claims-file', join(directory, 'claims.json')];
  await run(opa, ['build', '-b', policy, '-o', bundle, '--signing-key', key, ...claims]);
  const prod = { ...config, scope: 'prod', keyId: 'k1' };
  const { files } = await readBundle(bundle, prod);
  assert.ok([...files.keys()].some((name) => name.endsWith('authz.rego')));
  await assert.rejects(readBundle(bundle, config), /for the scope "prod", not ""/);
  await assert.rejects(readBundle(bundle, { ...prod, key: createPublicKey(stranger.privateKey) }), /invalid signature/);

  // Signed apart, as `opa sign` does, and packed by others.
  await run(opa, ['sign', '--bundle', '.', '--signing-key', key, '-o', directory], { cwd: policy });
  const apart = new Map(content).set('.signatures.json', readFileSync(join(directory, '.signatures.json')));
  await read(t, apart);
  await assert.rejects(read(t, new Map(apart).set('authz.rego', Buffer.from('package x\n'))), /is not what was signed/);
});

let opa = '';
before(
  async () => {
    if (noGo === false) opa = await buildOpaCli();
  },
  { timeout: buildLimitMs },
);

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-signed-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  return directory;
}
