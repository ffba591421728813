import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { Command } from 'commander';
import jwt from 'jsonwebtoken';
import { mintToken, registerToken } from '../../src/cli/token.ts';
import { ConfigError } from '../../src/errors.ts';

const secret = 'a-secret-of-the-tests-0123456789-abcdefgh';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

function spki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const hs = '{ algorithm: HS256, secret_env: S, issuer: https://id.example, audience: opallama }';
const files: Readonly<Record<string, string>> = {
  '/app/opallama.yaml': `identity: { jwt: [${hs}] }\n`,
  '/app/public.yaml': `identity:
  jwt:
    - { algorithm: RS256, public_key_file: rsa.pem, issuer: https://id.example, audience: opallama, kid: r }
    - { algorithm: ES256, public_key_file: ec.pem, issuer: https://id.example, audience: opallama }
`,
  '/app/two.yaml': `identity:
  jwt:
    - ${hs}
    - { algorithm: HS512, secret_env: T, issuer: other, audience: x, kid: second, claims: { id: email, roles: realm_access.roles, roles_prefix: app-, permissions: ["https://x.example/p"], permissions_prefix: "app:" } }
`,
  '/app/guests.yaml': 'identity: { anonymous: { roles: [guest] } }\n',
  '/app/rsa.pem': spki(rsa.publicKey),
  '/app/ec.pem': spki(ec.publicKey),
  '/app/rsa.key': pkcs8(rsa.privateKey),
  '/app/ec.key': pkcs8(ec.privateKey),
  '/app/stranger.key': pkcs8(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey),
  '/app/not.key': 'hello',
};

/** Runs `opallama token` with these arguments and gives back what it wrote. */
function run(...args: string[]): string {
  let written = '';
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  registerToken(program, {
    environment: {
      env: { S: secret, T: `${secret}${secret}` },
      cwd: '/app',
      readFile: (path) => {
        const content = files[path];
        if (content === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
        return Buffer.from(content);
      },
    },
    write: (text) => {
      written += text;
    },
  });
  for (const command of program.commands) command.copyInheritedSettings(program);
  program.parse(['token', ...args], { from: 'user' });
  return written;
}

function verify(
  token: string,
  key: KeyObject,
  algorithm: jwt.Algorithm,
  issuer = 'https://id.example',
  audience = 'opallama',
) {
  const verified = jwt.verify(token.trim(), key, { algorithms: [algorithm], issuer, audience, complete: true });
  assert.ok(typeof verified.payload === 'object');
  return { header: verified.header, payload: verified.payload };
}

test('a token of the configured secret is verified and carries what was asked for', () => {
  const out = run(
    '--subject',
    'alice',
    '--role',
    'developer',
    '--role',
    'analyst',
    '--agent-role',
    'planner',
    '--tenant',
    't1',
    '--permission',
    'p1',
    '--permission',
    'p2',
    '--expires',
    '15m',
  );
  assert.match(out, /^[\w-]+\.[\w-]+\.[\w-]+\n$/, 'the token and nothing else');
  const { header, payload } = verify(out, createSecretKey(Buffer.from(secret)), 'HS256');
  assert.deepEqual(header, { alg: 'HS256', typ: 'JWT' });
  const { iat = 0, exp = 0, ...claims } = payload;
  assert.equal(exp - iat, 900);
  assert.deepEqual(claims, {
    sub: 'alice',
    roles: ['developer', 'analyst'],
    agent_role: 'planner',
    tenant: 't1',
    permissions: ['p1', 'p2'],
    iss: 'https://id.example',
    aud: 'opallama',
  });
});

test('what is not asked for is not in the token, and it ends after an hour', () => {
  const { payload } = verify(run('--subject', 'alice'), createSecretKey(Buffer.from(secret)), 'HS256');
  assert.deepEqual(Object.keys(payload).sort(), ['aud', 'exp', 'iat', 'iss', 'roles', 'sub']);
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 3_600);
});

test('claims stand where the configuration of the key looks for them', () => {
  const out = run(
    '--config',
    'two.yaml',
    '--kid',
    'second',
    '--subject',
    'a@b.example',
    '--role',
    'developer',
    '--permission',
    'web:read',
  );
  const key = createSecretKey(Buffer.from(`${secret}${secret}`));
  const { header, payload } = verify(out, key, 'HS512', 'other', 'x');
  assert.equal(header.kid, 'second');
  assert.equal(payload.sub, 'a@b.example');
  assert.equal(payload['email'], 'a@b.example');
  assert.deepEqual(payload['realm_access'], { roles: ['app-developer'] });
  assert.deepEqual(payload['https://x.example/p'], ['app:web:read']);
  assert.equal(payload['roles'], undefined);
});

test('a private key signs where its public half is in the configuration', () => {
  const rs = run('--config', 'public.yaml', '--subject', 'alice', '--private-key-file', 'rsa.key');
  assert.equal(verify(rs, rsa.publicKey, 'RS256').header.kid, 'r');
  const es = run('--config', 'public.yaml', '--subject', 'alice', '--private-key-file', '/app/ec.key');
  assert.equal(verify(es, ec.publicKey, 'ES256').header.kid, undefined);
});

const refused: ReadonlyArray<readonly [args: string, fault: RegExp]> = [
  [
    '--config public.yaml',
    /^the configuration has only public keys, which cannot sign; give the private one by --private-key-file$/,
  ],
  ['--config two.yaml', /^several secrets of identity\.jwt could sign; choose one by --key or --kid$/],
  ['--config two.yaml --key 2', /^no entry of identity\.jwt is meant by this --key or --kid$/],
  ['--config two.yaml --key 0 --kid second', /^no entry of identity\.jwt is meant/],
  ['--config guests.yaml', /^identity\.jwt has no entry$/],
  ['--config gone.yaml', /^gone\.yaml: cannot be read \(ENOENT\)$/],
  [
    '--config public.yaml --private-key-file stranger.key',
    /no entry of identity\.jwt has the public half of this key$/,
  ],
  [
    '--config public.yaml --private-key-file ec.key --key 0',
    /no entry of identity\.jwt has the public half of this key$/,
  ],
  ['--config public.yaml --private-key-file not.key', /holds no private key in PEM/],
  ['--config public.yaml --private-key-file rsa.pem', /holds no private key in PEM/],
  ['--config public.yaml --private-key-file gone.key', /cannot be read \(ENOENT\)$/],
];

for (const [args, fault] of refused) {
  test(`token ${args} is refused as a fault of the configuration`, () => {
    assert.throws(
      () => run('--subject', 'alice', ...args.split(' ')),
      (error) => error instanceof ConfigError && fault.test(error.message),
    );
  });
}

test('a call without a subject or with a duration that is none is refused before anything is read', () => {
  assert.throws(() => run('--config', 'gone.yaml'), { code: 'commander.missingMandatoryOptionValue' });
  for (const expires of ['1', '0s', '500ms', 'soon']) {
    assert.throws(() => run('--subject', 'a', '--expires', expires), { code: 'commander.invalidArgument' }, expires);
  }
  assert.throws(() => run('--subject', 'a', '--key', '-1'), { code: 'commander.invalidArgument' });
});

test('one entry is chosen by its index', () => {
  const out = run('--config', 'two.yaml', '--key', '0', '--subject', 'alice');
  assert.equal(verify(out, createSecretKey(Buffer.from(secret)), 'HS256').payload.sub, 'alice');
});

test('a path of claims that is spelled like an inherited member reaches no inherited member', () => {
  const key = createSecretKey(Buffer.from(secret));
  const claims = { tenant: 'x.__proto__.polluted', roles: 'x.constructor.prototype.roles' };
  mintToken(
    { algorithm: 'HS256', key, issuer: 'i', audience: 'a', claims },
    { subject: 's', roles: ['r'], tenant: 't', expiresInS: 60 },
  );
  assert.equal(Reflect.get({}, 'polluted'), undefined);
  assert.equal(Reflect.get({}, 'roles'), undefined);
});
