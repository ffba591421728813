import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, guests, load } from './sources.ts';

const token = 'a-token-of-an-operator-0123456789';
const sha256 = createHash('sha256').update(token).digest();
const yaml = (section: string) => `${guests}admin: ${section}\n`;

test('there is no admin listener unless a token is configured', () => {
  const { admin, listen } = load({ yaml: guests });
  assert.deepEqual(admin, { tokens: [], keepDecisions: 1000 });
  assert.deepEqual(listen.admin, { host: '127.0.0.1', port: 9191 });
});

test('tokens come from variables or files; their hashes are kept, and nothing is printed', () => {
  for (const [section, name, member] of [
    ['{ token_env: OPALLAMA_OPS_TOKEN }', 'admin', 'token_env: OPALLAMA_OPS_TOKEN'],
    ['{ token_file: token }', 'admin', 'token_file: /etc/app/token'],
    ['{ tokens: [{ name: oncall, token_file: token }] }', 'oncall', 'token_file: /etc/app/token'],
  ] as const) {
    const env = section.includes('env') ? { OPALLAMA_OPS_TOKEN: token } : {};
    const files = { '/etc/app/token': `${token}\n` };
    const config = load({ yaml: yaml(section), env, files });
    assert.deepEqual(
      config.admin.tokens.map((one) => [one.name, one.sha256]),
      [[name, sha256]],
    );
    const printed = printConfig(config);
    assert.ok(!printed.includes(token) && !printed.includes(sha256.toString('hex')));
    assert.ok(printed.includes(member), printed);
    assert.equal(printConfig(load({ yaml: printed, env, files })), printed);
  }
});

for (const [section, fault] of [
  ['{ token_env: NOT_SET }', 'admin.token_env: the variable NOT_SET is not set'],
  [
    '{ token_env: SHORT }',
    'admin.token_env: the token has 5 characters; it needs at least 24. Make one: openssl rand -hex 32',
  ],
  ['{ token_env: SPACED }', 'admin.token_env: holds no bearer token: letters, digits and ._~+/-='],
  ['{ token_env: A, token_file: token }', 'admin.token_file: one token; remove it or token_env'],
  ['{ token_file: missing }', 'admin.token_file: cannot read /etc/app/missing (ENOENT)'],
  ['{ tokens: [{ name: a }] }', 'admin.tokens[0]: needs a token: set token_env or token_file'],
  [
    '{ tokens: [{ name: a, token_env: A }, { name: a, token_env: B }] }',
    'admin.tokens[1].name: is the name of another token too',
  ],
  [
    '{ tokens: [{ name: a, token_env: A }, { name: b, token_file: token }] }',
    'admin.tokens[1]: is the same token as another one; the log could not tell who acted',
  ],
  [
    '{ token_env: B, tokens: [{ name: a, token_env: A }] }',
    'admin.token_env: stands beside admin.tokens; give it a name and put it there',
  ],
  ['{ tokens: [{ name: On Call, token_env: A }] }', 'admin.tokens[0].name: must be a name such as oncall'],
] as const) {
  test(`the section ${section} is refused`, () => {
    const env = { A: token, B: `${token}-b`, SHORT: 'short', SPACED: 'a b c d e f g h i j k l m n o p' };
    const faults = faultsOf({ yaml: yaml(section), env, files: { '/etc/app/token': token } });
    assert.equal(faults.length, 1, faults.join('\n'));
    assert.ok(faults.join().includes(fault), faults.join());
  });
}

test('the admin listener stays on the loopback, at an address of its own', () => {
  const section = `admin: { token_env: A }\n`;
  const env = { A: token };
  for (const address of ['0.0.0.0:9191', ':9191', '10.0.0.1:9191', 'sidecar.example:9191']) {
    const [fault = ''] = faultsOf({ yaml: `${guests}${section}listen: { admin: "${address}" }\n`, env });
    assert.match(fault, /listen\.admin: must be 127\.0\.0\.1, \[::1\] or localhost/, address);
  }
  const [same = ''] = faultsOf({ yaml: `${guests}${section}listen: { admin: localhost:9464 }\n`, env });
  assert.match(same, /listen\.admin: is the address of another listener/);
  assert.equal(load({ yaml: `${guests}${section}listen: { admin: "[::1]:0" }\n`, env }).listen.admin.host, '::1');
});

test('the variable of the commands that ask a sidecar is no configuration', () => {
  assert.deepEqual(load({ yaml: guests, env: { OPALLAMA_ADMIN_TOKEN: token } }).admin.tokens, []);
});
