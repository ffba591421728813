import assert from 'node:assert/strict';
import { test } from 'node:test';

import { printConfig } from '../../src/config/print.ts';
import { faultsOf, guests, load, secret } from './sources.ts';

const yaml = `${guests}
management:
  labels: { region: eu }
  services:
    - { name: control, url: https://control.example/v1/policy/, token_env: CONTROL }
    - { name: local, url: http://127.0.0.1:8181 }
  bundles:
    - { name: authz, service: control, poll: 30s, long_poll: 60s }
    - { name: other, service: local, resource: /some/other.tar.gz }
  status: { service: control, partition_name: edge, interval: 30s }
  decision_logs: { service: local, upload_size: 64KiB, min_delay: 1s, max_delay: 2s }
policy: { path: "bundle:authz", state_dir: state }
`;
const env = { CONTROL: secret };

test('sections find their services, bundles are below the URLs of theirs, and the policy finds its bundle', () => {
  const { management, policies } = load({ yaml, env });
  assert.ok(management);
  const [authz, other] = management.bundles;
  assert.equal(authz?.bundle.url.href, 'https://control.example/v1/policy/bundles/authz');
  assert.equal(authz?.bundle.token, secret);
  assert.equal(authz?.bundle.longPoll, 60_000);
  assert.equal(other?.bundle.url.href, 'http://127.0.0.1:8181/some/other.tar.gz');
  assert.equal(management.status?.service, management.services[0]);
  assert.equal(management.status?.partition, 'edge');
  assert.equal(management.decisionLogs?.service, management.services[1]);
  assert.equal(management.decisionLogs?.resource, '/logs');
  assert.equal(policies[0]?.bundle, authz?.bundle);
  assert.equal(policies[0]?.path, '/etc/app/state/policy.download.tar.gz');
});

test('without the section there is nothing of it', () => {
  assert.equal(load({ yaml: guests }).management, undefined);
});

test('what is printed loads as the same, and no token is in it', () => {
  const printed = printConfig(load({ yaml, env }));
  assert.ok(!printed.includes(secret));
  assert.match(printed, /path: bundle:authz/);
  assert.equal(printConfig(load({ yaml: printed, env })), printed);
});

const service = '{ name: a, url: https://a.example }';
for (const [section, fault] of [
  ['services: [{ name: a, url: http://control.example }]', 'management.services[0].url: must begin with https://'],
  ['services: [{ name: a, url: "https://u:p@control.example" }]', 'management.services[0].url: a URL with a user name'],
  [`services: [${service}, ${service}]`, 'management.services[1].name: is the name of another service too'],
  ['services: [{ name: a, url: https://a.example, token_env: NONE }]', 'the variable NONE is not set'],
  ['status: { service: nobody }', 'management.status.service: is no service of management.services'],
  ['decision_logs: { service: nobody }', 'management.decision_logs.service: is no service of management.services'],
  ['bundles: [{ name: x, service: nobody }]', 'management.bundles[0].service: is no service of management.services'],
  [`services: [${service}]\n  bundles: [{ name: x, service: a, resource: ../x }]`, 'is no path below the URL'],
  [`services: [${service}]\n  bundles: [{ name: x, service: a, resource: //b.example/x }]`, 'is no path below the URL'],
  [`services: [${service}]\n  bundles: [{ name: x, service: a, resource: "x?y" }]`, 'is no path below the URL'],
  [`services: [${service}]\n  bundles: [{ name: x, service: a, resource: x%2e }]`, 'is no path below the URL'],
  [`services: [${service}]\n  bundles: [{ name: x, service: a }, { name: x, service: a }]`, 'another bundle too'],
  [`services: [${service}]\n  status: { service: a, interval: 1ms }`, 'must be at least 100ms'],
  [`services: [${service}]\n  decision_logs: { service: a, min_delay: 1m }`, 'max_delay: must be at least min_delay'],
  [`services: [${service}]\n  decision_logs: { service: a, upload_size: 1B }`, 'must be from 1KiB to 64MiB'],
] as const) {
  test(`refused: ${section}`, () => {
    const faults = faultsOf({ yaml: `${guests}management:\n  ${section}\n` });
    assert.ok(
      faults.some((text) => text.includes(fault)),
      faults.join('\n'),
    );
  });
}

test('a service without TLS elsewhere has to be asked for', () => {
  const asked = `${guests}management: { services: [{ name: a, url: http://control.example, allow_http: true }] }\n`;
  assert.equal(load({ yaml: asked }).management?.services[0]?.allowHttp, true);
  for (const host of ['127.0.0.1:1', 'localhost', '[::1]:8181'])
    assert.ok(load({ yaml: `${guests}management: { services: [{ name: a, url: "http://${host}" }] }\n` }));
});

test('a policy names a bundle that there is, and has somewhere to keep it', () => {
  const named = (policy: string) => faultsOf({ yaml: `${guests}policy: ${policy}\n` }).join('\n');
  assert.match(named('{ path: "bundle:x", state_dir: s }'), /policy.path: names no bundle of management.bundles/);
  assert.match(named('{ path: "bundle:x" }'), /a URL needs policy.state_dir/);
  assert.match(named('{ path: "bundle:../x", state_dir: s }'), /names a bundle as bundle:authz/);
  assert.match(named('{ path: "bundle:x", state_dir: s, bundle: { poll: 1s } }'), /says management.bundles/);
});

test('a policy may name a bundle that discovery is yet to name', () => {
  const discovery = 'discovery: { service: a, resource: d.tar.gz, decision: /x/y, state_dir: found }';
  const text = `${guests}management: { services: [${service}], ${discovery} }\npolicy: { path: "bundle:x", state_dir: s }\n`;
  const { management, policies } = load({ yaml: text });
  assert.equal(policies[0]?.bundle?.url.href, 'bundle:x');
  assert.equal(management?.discovery?.decision, 'x/y');
  assert.equal(management?.discovery?.stateDir, '/etc/app/found');
  assert.equal(management?.discovery?.bundle.url.href, 'https://a.example/d.tar.gz');
  const printed = printConfig(load({ yaml: text }));
  assert.equal(printConfig(load({ yaml: printed })), printed);
  const shadow = text.replace('state_dir: s', 'state_dir: s, shadow: { path: "bundle:y", state_dir: t }');
  assert.match(faultsOf({ yaml: shadow }).join(), /policy.shadow.path: .*a shadow takes none that is discovered/);
});
