import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guests, load } from './sources.ts';

test('without anything but who may enter, every default of the design stands', () => {
  const config = load({ env: { OPALLAMA_IDENTITY__ANONYMOUS: '{roles: [guest]}' } });
  assert.deepEqual(config.listen, {
    data: { host: '0.0.0.0', port: 8080 },
    ops: { host: '0.0.0.0', port: 9464 },
    admin: { host: '127.0.0.1', port: 9191 },
    hosts: [],
    tls: undefined,
  });
  assert.equal(config.upstream.baseUrl.href, 'http://127.0.0.1:11434/');
  assert.deepEqual(config.prefixes, ['/api/v1/ollama', '/ollama']);
  assert.deepEqual(config.policies[0], {
    name: 'policy',
    path: '/etc/app/policies',
    engine: 'wasm',
    entrypoint: 'ollama/authz',
    mode: 'auto',
    schema: 'warn',
    denyListOperations: [],
    isolation: 'auto',
    deadline: 500,
    memory: 1024 * 1024 * 1024,
    workers: 2,
    keepRevisions: 3,
  });
  assert.deepEqual(config.identity, {
    jwt: [],
    issuers: [],
    removedKeyGrace: 0,
    apiKeysFile: undefined,
    revocationsFile: undefined,
    ollamaKeys: [],
    clientCertificates: [],
    anonymous: { roles: ['guest'] },
    acceptUnknownCredentials: false,
    rolePrecedence: [],
  });
  assert.deepEqual(config.timeouts, {
    connect: 2_000,
    firstByte: 300_000,
    idle: 60_000,
    total: 0,
    headers: 10_000,
    body: 60_000,
  });
  assert.deepEqual(config.limits, {
    body: 33_554_432,
    bodiesTotal: 268_435_456,
    blob: 64 * 1024 ** 3,
    headers: 16_384,
    inFlight: 4_096,
  });
  assert.deepEqual(config.audit, { stdout: true, ship: { syslog: undefined, otlp: undefined } });
  assert.deepEqual(config.log, { level: 'info' });
});

test('a flag goes over the environment, that over the file, that over the default', () => {
  const yaml = `${guests}log: { level: debug }\n`;
  const env = { OPALLAMA_LOG__LEVEL: 'warn' };
  const flags = [{ name: '--log-level', path: 'log.level', value: 'error' }];
  assert.equal(load({ yaml: guests }).log.level, 'info');
  assert.equal(load({ yaml }).log.level, 'debug');
  assert.equal(load({ yaml, env }).log.level, 'warn');
  assert.equal(load({ yaml, env, flags }).log.level, 'error');
});

test('a flag that is not given changes nothing', () => {
  const flags = [{ name: '--log-level', path: 'log.level', value: undefined }];
  assert.equal(load({ yaml: `${guests}log: { level: debug }\n`, flags }).log.level, 'debug');
});

test('a variable sets a single member and leaves its neighbours', () => {
  const config = load({
    yaml: `${guests}timeouts: { idle: 5s, connect: 1s }\n`,
    env: { OPALLAMA_TIMEOUTS__IDLE: '7s', OPALLAMA_TIMEOUTS: '{first_byte: 9s, idle: 8s}' },
  });
  assert.equal(config.timeouts.idle, 7_000, 'the inner variable goes over the outer one');
  assert.equal(config.timeouts.connect, 1_000, 'from the file');
  assert.equal(config.timeouts.firstByte, 9_000, 'a map is merged');
});

test('a list in a variable replaces the list of the file, an index sets one item', () => {
  const yaml = `${guests}prefixes: [/a, /b]\n`;
  assert.deepEqual(load({ yaml, env: { OPALLAMA_PREFIXES: '[/c]' } }).prefixes, ['/c']);
  assert.deepEqual(load({ yaml, env: { OPALLAMA_PREFIXES: '[]' } }).prefixes, []);
  assert.deepEqual(load({ yaml, env: { OPALLAMA_PREFIXES__1: '/x', OPALLAMA_PREFIXES__2: '/y' } }).prefixes, [
    '/a',
    '/x',
    '/y',
  ]);
});

test('values in the environment are read as their member asks', () => {
  const config = load({
    yaml: guests,
    env: {
      OPALLAMA_LISTEN__DATA: '[::1]:8081',
      OPALLAMA_LISTEN__OPS: ':9000',
      OPALLAMA_LIMITS__IN_FLIGHT: '12',
      OPALLAMA_AUDIT__STDOUT: 'false',
      OPALLAMA_IDENTITY__ROLE_PRECEDENCE: '[admin, user]',
      OPALLAMA_UPSTREAM__BASE_URL: 'https://ollama.example/base/',
    },
  });
  assert.deepEqual(config.listen.data, { host: '::1', port: 8081 });
  assert.deepEqual(config.listen.ops, { host: '0.0.0.0', port: 9000 });
  assert.equal(config.limits.inFlight, 12);
  assert.equal(config.audit.stdout, false);
  assert.deepEqual(config.identity.rolePrecedence, ['admin', 'user']);
  assert.equal(config.upstream.baseUrl.href, 'https://ollama.example/base');
});

test('an item that an alias shares with another changes alone', () => {
  const yaml =
    'identity:\n  anonymous: { roles: [guest] }\n  jwt:\n    - &key { algorithm: HS256, secret_env: S, issuer: a, audience: b }\n    - *key\n';
  const env = { S: 'x'.repeat(32), OPALLAMA_IDENTITY__JWT__1__ISSUER: 'other' };
  assert.deepEqual(
    load({ yaml, env }).identity.jwt.map((entry) => entry.issuer),
    ['a', 'other'],
  );
});

test('a path is relative to the file that names it, else to the working directory', () => {
  const files = { '/srv/conf/o.yaml': `${guests}policy: { path: mine }\n` };
  const given = { file: '/srv/conf/o.yaml', files };
  assert.equal(load(given).policies[0]?.path, '/srv/conf/mine');
  assert.equal(load({ ...given, env: { OPALLAMA_POLICY__PATH: 'theirs' } }).policies[0]?.path, '/etc/app/theirs');
  const flags = [{ name: '--policy', path: 'policy.path', value: '/abs' }];
  assert.equal(load({ ...given, flags }).policies[0]?.path, '/abs');
  assert.equal(load({ ...given, files: { '/srv/conf/o.yaml': guests } }).policies[0]?.path, '/etc/app/policies');
});

test('a file that is named and missing is a fault, the default one may be missing', () => {
  assert.throws(() => load({ file: 'other.yaml', env: { OPALLAMA_IDENTITY__ANONYMOUS: '{roles: [a]}' } }), {
    message: 'other.yaml: cannot be read (ENOENT)',
  });
});
