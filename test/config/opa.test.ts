import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { issueAuthority } from '../support/certificates.ts';
import { faultsOf, guests, load } from './sources.ts';

const opa = (section: string) => `${guests}policy:\n  engine: opa\n  opa: ${section}\n`;

test('the engine opa asks the OPA of this machine unless it is told otherwise', () => {
  const [policy] = load({ yaml: `${guests}policy: { engine: opa }\n` }).policies;
  assert.equal(policy?.opa?.url.href, 'http://127.0.0.1:8181/');
  assert.deepEqual([policy?.opa?.socket, policy?.opa?.token, policy?.opa?.timeout], [undefined, undefined, 500]);
  assert.deepEqual(policy?.opa?.circuitBreaker, { failures: 5, reset: 1000 });
});

test('a decision has until the deadline of the policy, unless its own time is given', () => {
  const timeoutOf = (more: string) =>
    load({ yaml: `${guests}policy: { engine: opa, deadline: 2s${more} }\n` }).policies[0]?.opa?.timeout;
  assert.equal(timeoutOf(''), 2000);
  assert.equal(timeoutOf(', opa: { timeout: 100ms }'), 100);
});

test('an OPA that is described is known beside another engine too, for the bench', () => {
  const described = load({ yaml: `${guests}policy: { opa: { url: 'unix:/run/opa.sock' } }\n` }).policies[0];
  assert.deepEqual([described?.engine, described?.opa?.socket], ['wasm', '/run/opa.sock']);
  assert.equal(load({ yaml: guests }).policies[0]?.opa, undefined);
});

test('a Unix socket is named by its absolute path', () => {
  for (const url of ['unix:///run/opa.sock', 'unix:/run/opa.sock']) {
    assert.equal(load({ yaml: opa(`{ url: '${url}' }`) }).policies[0]?.opa?.socket, '/run/opa.sock');
  }
  for (const url of ['unix://run/opa.sock', 'unix:', 'unix:///', 'unix:///a//b', 'unix:///a?b']) {
    const [fault = ''] = faultsOf({ yaml: opa(`{ url: '${url}' }`) });
    assert.match(fault, /policy\.opa\.url: .* names no Unix socket/, url);
  }
});

test('a token comes from a variable or a file, and is never printed', () => {
  const env = { OPALLAMA_OPA_TOKEN: 's3cret' };
  for (const [section, member] of [
    ['{ token_env: OPALLAMA_OPA_TOKEN }', 'token_env: OPALLAMA_OPA_TOKEN'],
    ['{ token_file: token }', 'token_file: /etc/app/token'],
  ] as const) {
    const config = load({
      yaml: opa(section),
      env: section.includes('env') ? env : {},
      files: { '/etc/app/token': 's3cret\n' },
    });
    assert.equal(config.policies[0]?.opa?.token, 's3cret');
    const printed = printConfig(config);
    assert.ok(!printed.includes('s3cret'));
    assert.ok(printed.includes(member), printed);
  }
});

for (const [section, fault] of [
  ['{ token_env: NOT_SET }', 'policy.opa.token_env: the variable NOT_SET is not set'],
  ['{ token_file: nowhere }', 'policy.opa.token_file: cannot read /etc/app/nowhere (ENOENT)'],
  ['{ token_file: spaces }', 'policy.opa.token_file: holds no bearer token: letters, digits and ._~+/-='],
  ['{ token_env: A, token_file: token }', 'policy.opa.token_file: one token; remove it or token_env'],
  ['{ timeout: 0s }', 'policy.opa.timeout: a decision needs an end; write a duration such as 500ms'],
  ['{ tls: { ca_file: ca.pem } }', 'policy.opa.tls: needs a url that begins with https://'],
  ['{ url: "https://opa", tls: { cert_file: ca.pem } }', 'policy.opa.tls: cert_file and key_file go together'],
  [
    '{ url: "https://opa", tls: { ca_file: none.pem } }',
    'policy.opa.tls.ca_file: cannot read /etc/app/none.pem (ENOENT)',
  ],
  ['{ url: "http://me:pw@opa" }', 'policy.opa.url: a URL with a user name or password is refused'],
] as const) {
  test(`policy.opa ${section} is refused`, () => {
    const files = {
      '/etc/app/spaces': 'two words',
      '/etc/app/token': 'x',
      '/etc/app/ca.pem': issueAuthority('x').cert,
    };
    const faults = faultsOf({ yaml: opa(section), files });
    assert.ok(
      faults.some((found) => found.includes(fault)),
      faults.join('\n'),
    );
  });
}

test('what is printed loads to the same', () => {
  const files = { '/etc/app/ca.pem': issueAuthority('x').cert };
  const section =
    '{ url: "https://opa:8181/x", tls: { ca_file: ca.pem, server_name: opa.test }, timeout: 1500ms, reads: [model] }';
  const first = load({ yaml: opa(section), files });
  const again = load({ yaml: printConfig(first), files });
  assert.deepEqual(again.policies, first.policies);
});
