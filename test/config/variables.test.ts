import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, guests, load, secret } from './sources.ts';

test('an unknown variable is a fault that names the member that may be meant', () => {
  const env = {
    OPALLAMA_LISTEN_DATA: ':1',
    OPALLAMA_TIMEOUTS__IDEL: '1s',
    OPALLAMA_LOG__COLOUR: 'red',
    OPALLAMA_JWT_SECRET: secret,
    OPALLAMA_ADMIN__TOKEN: secret,
    OPALLAMA_: '1',
  };
  const faults = faultsOf({ yaml: guests, env });
  assert.deepEqual(faults, [
    'OPALLAMA_: no member of the configuration has this name, and no secret_env refers to it',
    'OPALLAMA_ADMIN__TOKEN: unknown member; did you mean OPALLAMA_ADMIN__TOKENS?',
    'OPALLAMA_JWT_SECRET: no member of the configuration has this name, and no secret_env refers to it',
    'OPALLAMA_LISTEN_DATA: unknown member; did you mean OPALLAMA_LISTEN__DATA?',
    'OPALLAMA_LOG__COLOUR: unknown member; known in log: level',
    'OPALLAMA_TIMEOUTS__IDEL: unknown member; did you mean OPALLAMA_TIMEOUTS__IDLE?',
  ]);
});

test('a variable that a secret_env names is no configuration, whichever source names it', () => {
  const entry = '{ algorithm: HS256, secret_env: OPALLAMA_JWT_SECRET, issuer: a, audience: b }';
  const env = { OPALLAMA_JWT_SECRET: secret };
  assert.equal(load({ yaml: `identity: { jwt: [${entry}] }\n`, env }).identity.jwt.length, 1);
  assert.equal(load({ env: { ...env, OPALLAMA_IDENTITY__JWT: `[${entry}]` } }).identity.jwt.length, 1);
  const flags = [
    {
      name: '--jwt',
      path: 'identity.jwt',
      value: [{ algorithm: 'HS256', secret_env: 'OTHER', issuer: 'a', audience: 'b' }],
    },
  ];
  assert.equal(load({ env: { OTHER: secret }, flags }).identity.jwt.length, 1);
});

test('an entry of a list can be set member by member', () => {
  const env = {
    OPALLAMA_IDENTITY__JWT__0__ALGORITHM: 'HS256',
    OPALLAMA_IDENTITY__JWT__0__SECRET_ENV: 'S',
    OPALLAMA_IDENTITY__JWT__0__ISSUER: 'https://id.example',
    OPALLAMA_IDENTITY__JWT__0__AUDIENCE: '12',
    S: secret,
  };
  const [entry] = load({ env }).identity.jwt;
  assert.equal(entry?.issuer, 'https://id.example');
  assert.equal(entry?.audience, '12', 'text that looks like a number stays text');
});

test('the variables of a Kubernetes Service named opallama are passed over', () => {
  const env = {
    OPALLAMA_PORT: 'tcp://10.0.0.1:8080',
    OPALLAMA_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
    OPALLAMA_PORT_8080_TCP_ADDR: '10.0.0.1',
    OPALLAMA_PORT_8080_TCP_PORT: '8080',
    OPALLAMA_PORT_8080_TCP_PROTO: 'tcp',
    OPALLAMA_SERVICE_HOST: '10.0.0.1',
    OPALLAMA_SERVICE_PORT: '8080',
    OPALLAMA_SERVICE_PORT_HTTP: '8080',
  };
  assert.equal(load({ yaml: guests, env }).listen.data.port, 8080);
});

test('a port that a person wrote into OPALLAMA_PORT is not passed over', () => {
  assert.match(faultsOf({ yaml: guests, env: { OPALLAMA_PORT: '9000' } })[0] ?? '', /^OPALLAMA_PORT: no member/);
});

test('what is not meant for the sidecar is not looked at', () => {
  assert.ok(
    load({ yaml: guests, env: { PATH: '/bin', OPALLAMAX: '1', opallama_log__level: 'x', OLLAMA_MODELS: 'x' } }),
  );
});

test('an empty variable is a fault: nobody can tell whether it was meant to change something', () => {
  assert.deepEqual(faultsOf({ yaml: guests, env: { OPALLAMA_LOG__LEVEL: '', OPALLAMA_AUDIT: ' ' } }), [
    'OPALLAMA_AUDIT: is empty; give it a value or unset it',
    'OPALLAMA_LOG__LEVEL: is empty; give it a value or unset it',
  ]);
});

test('a variable that is no YAML is refused without a word of what it holds', () => {
  const faults = faultsOf({
    yaml: guests,
    env: { OPALLAMA_IDENTITY__JWT: `[{ secret: ${secret}`, OPALLAMA_PREFIXES: '*x' },
  });
  assert.deepEqual(faults, [
    'OPALLAMA_IDENTITY__JWT: is not readable as YAML; write a list as [a, b] and a map as {name: value}',
    'OPALLAMA_PREFIXES: is not readable as YAML; write a list as [a, b] and a map as {name: value}',
  ]);
});

test('an index beyond the end of a list is a fault', () => {
  assert.deepEqual(faultsOf({ yaml: guests, env: { OPALLAMA_LISTEN__HOSTS__1: 'a.example' } }), [
    'OPALLAMA_LISTEN__HOSTS__1: listen.hosts[1]: leaves a gap in the list; items count from 0',
  ]);
});

test('a flag for a member that does not exist is a fault', () => {
  const flags = [{ name: '--polciy', path: 'polciy.path', value: 'x' }];
  assert.match(faultsOf({ yaml: guests, flags })[0] ?? '', /^--polciy: polciy\.path: unknown member/);
});
