/** Files of keys that change while the sidecar runs, from the disk to who may enter. */
import assert from 'node:assert/strict';
import { createHash, type createPublicKey, createSecretKey, randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { readClients } from '../../src/config/clients-file.ts';
import { readKeyAnew } from '../../src/config/keys.ts';
import { readSigningKeyAnew } from '../../src/config/token-endpoint.ts';
import type { Config } from '../../src/configured/config.ts';
import { ConfigError, RequestError } from '../../src/errors.ts';
import { createApiKey } from '../../src/identity/api-key.ts';
import { startLiveIdentity } from '../../src/identity/live-identity.ts';
import type { FileReload } from '../../src/identity/watched-file.ts';
import { bearer, goodClaims, hmacToken, jwtKey, keys, signedToken } from './tokens.ts';

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-identity-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  return directory;
}

async function start(t: TestContext, over: Partial<Config['identity']>) {
  const reloads: FileReload[] = [];
  const identity = await startLiveIdentity(
    {
      jwt: [],
      issuers: [],
      removedKeyGrace: 0,
      ollamaKeys: [],
      clientCertificates: [],
      anonymous: undefined,
      acceptUnknownCredentials: false,
      rolePrecedence: [],
      ...over,
    },
    {
      readKey: readKeyAnew,
      readSigningKey: readSigningKeyAnew,
      readClients,
      onWrongSecret: () => {},
      onRefresh: () => {},
      onReload: (reload) => reloads.push(reload),
      everyMs: 20,
    },
  );
  t.after(() => identity.close());
  const ask = async (headers: readonly string[]): Promise<string> => {
    try {
      const { id } = await identity.identify(headers, { method: 'GET', path: '/', query: '' });
      return id;
    } catch (error) {
      assert.ok(error instanceof RequestError);
      return error.code;
    }
  };
  return { identity, ask, reloads };
}

test('API keys come by either header; a file that can not be used changes nothing and is told of once', async (t) => {
  const file = join(makeDirectory(t), 'keys.yaml');
  const [a, b] = [createApiKey(), createApiKey()];
  const write = (...created: readonly (typeof a)[]): void => {
    const list = created.map(({ id, hash }) => ({ id, hash, principal: `of ${id}`, roles: ['x'] }));
    writeFileSync(file, JSON.stringify({ keys: list }));
  };
  write(a);
  const { identity, ask, reloads } = await start(t, { apiKeysFile: file });
  assert.equal(await ask(bearer(a.key)), `of ${a.id}`);
  assert.equal(await ask(['X-Api-Key', a.key]), `of ${a.id}`);
  assert.equal(await ask(['X-Api-Key', a.key, 'Authorization', `Bearer ${b.key}`]), 'conflicting_credentials');
  assert.equal(await ask(bearer(b.key)), 'invalid_credentials');

  write(b);
  await identity.look();
  assert.equal(await ask(bearer(a.key)), 'invalid_credentials');
  assert.equal(await ask(bearer(b.key)), `of ${b.id}`);

  writeFileSync(file, 'keys: [');
  await identity.look();
  await identity.look();
  assert.equal(await ask(bearer(b.key)), `of ${b.id}`);
  assert.deepEqual(
    reloads.map(({ source, fault }) => [source, fault === undefined]),
    [
      ['api_keys', true],
      ['api_keys', false],
    ],
  );
  assert.match(identity.files()[0]?.refused?.fault ?? '', /no YAML: line 1/);

  rmSync(file);
  await identity.look();
  assert.equal(await ask(bearer(b.key)), `of ${b.id}`);
  assert.match(identity.files()[0]?.refused?.fault ?? '', /ENOENT/);
  write(b);
  await identity.look();
  assert.equal(identity.files()[0]?.refused, undefined);
});

for (const [graceMs, former] of [
  [0, 'invalid_credentials'],
  [60_000, 'planner'],
] as const) {
  test(`the key of the token endpoint is exchanged; tokens of the former one hold for ${graceMs} ms`, async (t) => {
    const directory = makeDirectory(t);
    const [file, clientsFile] = [join(directory, 'secret'), join(directory, 'clients.yaml')];
    const [first, second] = ['a'.repeat(40), 'b'.repeat(40)];
    const secret = 's'.repeat(40);
    const hash = createHash('sha256').update(secret).digest('hex');
    writeFileSync(clientsFile, JSON.stringify({ clients: [{ id: 'planner', secret_sha256: [hash], roles: ['x'] }] }));
    writeFileSync(file, `${first}\n`);
    const key = createSecretKey(Buffer.from(first));
    const { identity, ask, reloads } = await start(t, {
      removedKeyGrace: graceMs,
      tokenEndpoint: {
        clientsFile,
        algorithm: 'HS256',
        signingKey: key,
        verifyingKey: key,
        source: { member: 'secret_file', value: file },
        kid: 'own',
        issuer: 'https://sidecar.example',
        audience: 'opallama',
        expiresS: 600,
        perClient: 100,
        perSource: 100,
      },
    });
    const issue = (): string => {
      const asked = { grantType: 'client_credentials', clientId: 'planner', clientSecret: secret, scope: undefined };
      return identity.tokens?.grant(asked).token ?? '';
    };
    const old = issue();
    assert.equal(await ask(bearer(old)), 'planner');
    writeFileSync(file, 'short');
    await identity.look();
    assert.equal(await ask(bearer(issue())), 'planner', 'a key that can not be used changes nothing');
    writeFileSync(file, `${second}\n`);
    await identity.look();
    assert.equal(await ask(bearer(issue())), 'planner');
    assert.equal(await ask(bearer(old)), former);
    assert.deepEqual(
      reloads.map(({ source, fault }) => [source, fault === undefined]),
      [
        ['token_key', false],
        ['token_key', true],
      ],
    );
  });
}

test('a file that is exchanged behind a symbolic link is seen without being asked for', async (t) => {
  const directory = makeDirectory(t);
  const [file, first, second] = ['keys.yaml', 'first', 'second'].map((name) => join(directory, name));
  assert.ok(file !== undefined && first !== undefined && second !== undefined);
  const created = createApiKey();
  writeFileSync(first, '{"keys":[]}');
  const entry = { id: created.id, hash: created.hash, principal: 'late', roles: ['x'] };
  writeFileSync(second, JSON.stringify({ keys: [entry] }));
  symlinkSync(first, file);
  const { ask } = await start(t, { apiKeysFile: file });
  assert.equal(await ask(bearer(created.key)), 'invalid_credentials');
  symlinkSync(second, `${file}.new`);
  renameSync(`${file}.new`, file);
  const deadline = Date.now() + 30_000;
  while ((await ask(bearer(created.key))) !== 'late') {
    assert.ok(Date.now() < deadline, 'not seen within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('a secret that is exchanged counts at once, and the former one for its grace and no longer', async (t) => {
  for (const removedKeyGrace of [0, 60_000]) {
    const file = join(makeDirectory(t), 'secret');
    const [former, next] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    writeFileSync(file, `${former}\n`);
    const entry = jwtKey({
      key: createSecretKey(Buffer.from(former)),
      source: { member: 'secret_file', value: file },
    });
    const { identity, ask } = await start(t, { jwt: [entry], removedKeyGrace });
    const [old, young] = [former, next].map((secret) => bearer(hmacToken(goodClaims(), undefined, secret)));
    assert.ok(old !== undefined && young !== undefined);
    assert.equal(await ask(old), 'alice');
    assert.equal(await ask(young), 'invalid_credentials');
    writeFileSync(file, `${next}\n`);
    await identity.look();
    assert.equal(await ask(young), 'alice');
    assert.equal(await ask(old), removedKeyGrace === 0 ? 'invalid_credentials' : 'alice');
    // Too short: what was there goes on.
    writeFileSync(file, 'short');
    await identity.look();
    assert.equal(await ask(young), 'alice');
    assert.match(identity.files()[0]?.refused?.fault ?? '', /has 5 bytes; HS256 needs at least 32/);
  }
});

test('a public key that is exchanged counts, one that does not fit the algorithm does not', async (t) => {
  const file = join(makeDirectory(t), 'id.pem');
  const pem = (pair: { readonly publicKey: ReturnType<typeof createPublicKey> }): string =>
    pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  writeFileSync(file, pem(keys.rsa));
  const entry = jwtKey({
    algorithm: 'RS256',
    key: keys.rsa.publicKey,
    source: { member: 'public_key_file', value: file },
  });
  const { identity, ask } = await start(t, { jwt: [entry] });
  const [old, young] = [keys.rsa, keys.otherRsa].map(({ privateKey }) => bearer(signedToken('RS256', privateKey)));
  assert.ok(old !== undefined && young !== undefined);
  assert.equal(await ask(old), 'alice');
  writeFileSync(file, pem(keys.otherRsa));
  await identity.look();
  assert.deepEqual([await ask(old), await ask(young)], ['invalid_credentials', 'alice']);
  writeFileSync(file, pem(keys.p256));
  await identity.look();
  assert.equal(await ask(young), 'alice');
  assert.match(identity.files()[0]?.refused?.fault ?? '', /RS256 needs an RSA key/);
});

test('a list of revocations that changes is asked about tokens that were seen before', async (t) => {
  const file = join(makeDirectory(t), 'revoked.yaml');
  writeFileSync(file, 'revoked: []\n');
  const { identity, ask } = await start(t, { jwt: [jwtKey()], revocationsFile: file });
  const token = bearer(hmacToken(goodClaims({ jti: 'x' })));
  assert.equal(await ask(token), 'alice');
  writeFileSync(file, 'revoked: [{ jti: x }]\n');
  await identity.look();
  assert.equal(await ask(token), 'invalid_credentials');
});

test('a file that can not be used at the start ends it', async (t) => {
  const file = join(makeDirectory(t), 'none.yaml');
  await assert.rejects(start(t, { apiKeysFile: file }), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.faults.join(), /none\.yaml can not be read \(ENOENT\)/);
    return true;
  });
});
