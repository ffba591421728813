/** The sections `audit.syslog` and `audit.otlp`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { parseSyslogUrl } from '../../src/config/ship-schema.ts';
import { faultsOf, guests, load } from './sources.ts';

const yaml = (section: string) => `${guests}audit: ${section}\n`;

for (const [url, target] of [
  ['tls://logs.example', { transport: 'tls', host: 'logs.example', port: 6514 }],
  ['tcp://127.0.0.1:1514', { transport: 'tcp', host: '127.0.0.1', port: 1514 }],
  ['udp://[::1]', { transport: 'udp', host: '::1', port: 514 }],
  ['unix:///run/syslog.sock', { transport: 'unix', path: '/run/syslog.sock' }],
] as const) {
  test(`${url} is a receiver`, () => assert.deepEqual(parseSyslogUrl(url), { url, target }));
}

test('without them nothing is shipped', () => {
  assert.deepEqual(load({ yaml: guests }).audit.ship, { syslog: undefined, otlp: undefined });
});

test('what is configured is printed so that it is the same when it is loaded again, without the token', () => {
  const env = { OTLP_TOKEN: 'a-token-of-the-collector' };
  const config = load({
    yaml: yaml(
      '{ syslog: { url: "tls://logs.example", facility: authpriv, hostname: node-1 }, otlp: { url: "https://collector.example:4318", token_env: OTLP_TOKEN, resource: { service.namespace: ai } } }',
    ),
    env,
  });
  const { syslog, otlp } = config.audit.ship ?? {};
  assert.deepEqual(
    [syslog?.facility, syslog?.hostname, syslog?.bufferEvents],
    [{ name: 'authpriv', code: 10 }, 'node-1', 10_000],
  );
  assert.deepEqual(
    [otlp?.url.href, otlp?.token, otlp?.timeout],
    ['https://collector.example:4318/v1/logs', env.OTLP_TOKEN, 10_000],
  );
  const printed = printConfig(config);
  assert.ok(!printed.includes(env.OTLP_TOKEN));
  assert.match(printed, /token_env: OTLP_TOKEN/);
  assert.equal(printConfig(load({ yaml: printed, env })), printed);
});

test('plain connections stay on this machine unless that is said', () => {
  for (const section of [
    '{ syslog: { url: "tcp://127.0.0.1" } }',
    '{ syslog: { url: "tcp://10.0.0.9", allow_plain: true } }',
    '{ syslog: { url: "unix:///run/log" } }',
    '{ otlp: { url: "http://localhost:4318" } }',
    '{ otlp: { url: "http://collector:4318/custom", allow_plain: true } }',
  ])
    assert.ok(load({ yaml: yaml(section) }).audit.ship, section);
});

for (const [section, fault] of [
  [
    '{ syslog: { url: "tcp://10.0.0.9" } }',
    'audit.syslog.url: leaves this machine unsecured; use tls://, or say allow_plain: true',
  ],
  [
    '{ syslog: { url: "udp://logs.example" } }',
    'audit.syslog.url: leaves this machine unsecured; use tls://, or say allow_plain: true',
  ],
  [
    '{ syslog: { url: "http://logs.example" } }',
    'audit.syslog.url: "http://logs.example" is no syslog receiver; write tls://logs.example:6514',
  ],
  ['{ syslog: { url: "tls://a:99999" } }', 'audit.syslog.url: "tls://a:99999": a port is from 1 to 65535'],
  [
    '{ syslog: { url: "tls://user@a" } }',
    'audit.syslog.url: "tls://user@a" is no syslog receiver; write tls://logs.example:6514',
  ],
  [
    '{ syslog: { url: "tcp://127.0.0.1", tls: { ca_file: ca.pem } } }',
    'audit.syslog.tls: needs a url that begins with tls://',
  ],
  [
    '{ syslog: { url: "tls://a", tls: { ca_file: ca.pem } } }',
    'audit.syslog.tls.ca_file: cannot read /etc/app/ca.pem (ENOENT)',
  ],
  ['{ syslog: { url: "tls://a", hostname: "a b" } }', 'audit.syslog.hostname: must be printable ASCII without blanks'],
  [
    '{ otlp: { url: "http://collector:4318" } }',
    'audit.otlp.url: leaves this machine unsecured; use https://, or say allow_plain: true',
  ],
  ['{ otlp: { url: "https://a", token_env: NOT_SET } }', 'audit.otlp.token_env: the variable NOT_SET is not set'],
  [
    '{ otlp: { url: "https://a", timeout: 0s } }',
    'audit.otlp.timeout: a request needs an end; write a duration such as 10s',
  ],
] as const) {
  test(`${section} is refused`, () => {
    const faults = faultsOf({ yaml: yaml(section) });
    assert.ok(
      faults.some((each) => each.includes(fault)),
      faults.join('\n'),
    );
  });
}
