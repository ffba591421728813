/** What of a discovered configuration is taken, and what is refused with all the rest of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PolicyError } from '../../src/errors.ts';
import { type DiscoveredOptions, readDiscovered } from '../../src/management/discovered.ts';
import { logsTo, managementOf, serviceAt } from './managed.ts';

const control = serviceAt('https://control.example/v1');
const other = serviceAt('https://other.example', { name: 'other', token: 'other-token' });

const options = (over: Partial<DiscoveredOptions> = {}): DiscoveredOptions => ({
  boot: managementOf({ services: [control, other] }),
  wanted: new Set(),
  verifies: () => false,
  polling: { poll: 60_000, longPoll: 0, timeout: 30_000, size: 1 << 20 },
  ...over,
});

function faultsOf(value: unknown, over: Partial<DiscoveredOptions> = {}): string {
  try {
    readDiscovered(value, options(over));
  } catch (error) {
    assert.ok(error instanceof PolicyError);
    return error.faults.map(({ message }) => message).join('\n');
  }
  assert.fail('it was taken');
}

test("OPA's spelling is read into ours", () => {
  const { config, overridden } = readDiscovered(
    {
      labels: { zone: 'b', region: 'elsewhere', id: 'somebody-else' },
      bundles: {
        authz: {
          service: 'control',
          resource: '/bundles/authz.tar.gz',
          polling: { min_delay_seconds: 10, max_delay_seconds: 20, long_polling_timeout_seconds: 30 },
          size_limit_bytes: 4096,
          persist: true,
        },
        plain: { service: 'other' },
      },
      status: { service: 'control', partition_name: 'edge', prometheus: true },
      decision_logs: {
        service: 'other',
        resource: 'decisions',
        reporting: { min_delay_seconds: 1, max_delay_seconds: 2, upload_size_limit_bytes: 65536, trigger: 'immediate' },
        mask_decision: '/system/log/mask',
      },
      default_decision: '/ollama/authz',
    },
    options(),
  );
  const [authz, plain] = config.bundles;
  assert.equal(authz?.bundle.url.href, 'https://control.example/v1/bundles/authz.tar.gz');
  assert.equal(authz?.bundle.token, 'let-me-in');
  assert.deepEqual([authz?.bundle.poll, authz?.bundle.longPoll, authz?.bundle.size], [15_000, 30_000, 4096]);
  assert.equal(plain?.bundle.url.href, 'https://other.example/bundles/plain');
  assert.deepEqual(config.status, { service: control, partition: 'edge', interval: 60_000 });
  const { service, resource, minDelay, maxDelay, uploadSize } = config.decisionLogs ?? {};
  assert.deepEqual([service, resource, minDelay, maxDelay, uploadSize], [other, '/decisions', 1000, 2000, 65536]);
  assert.deepEqual(config.labels, { zone: 'b', region: 'test' });
  assert.deepEqual(overridden, ['labels.region', 'labels.id']);
});

test("the sidecar's own configuration counts before what is discovered, and that is told", () => {
  const logs = logsTo(control);
  const { url } = control;
  const own = { url, name: 'authz', token: undefined, tokenSource: undefined, tls: undefined };
  const bundle = { ...own, poll: 1, longPoll: 0, timeout: 1, size: 1 };
  const boot = managementOf({
    services: [control],
    bundles: [{ name: 'authz', service: 'control', resource: 'mine', bundle }],
    status: { service: control, partition: undefined, interval: 1000 },
    decisionLogs: logs,
  });
  const { config, overridden } = readDiscovered(
    { bundles: { authz: {} }, status: {}, decision_logs: { resource: 'theirs' } },
    options({ boot }),
  );
  assert.deepEqual(config, boot);
  assert.deepEqual(overridden, ['bundles.authz', 'status', 'decision_logs']);
});

const refused: ReadonlyArray<readonly [unknown, RegExp]> = [
  [null, /expected object/],
  ['text', /expected object/],
  [[], /expected object/],
  [{ services: { control: { url: 'https://evil.example' } } }, /^services: is the sidecar's own to configure$/],
  [{ keys: {} }, /^keys: is the sidecar's own/],
  [{ discovery: {} }, /^discovery: is the sidecar's own/],
  [{ plugins: {} }, /^plugins: is the sidecar's own/],
  [{ listen: {} }, /^listen: is not known here$/],
  [{ upstream: { base_url: 'http://evil.example' } }, /^upstream: is not known/],
  [{ identity: { anonymous: { roles: ['admin'] } } }, /^identity: is not known/],
  [{ bundles: { authz: { service: 'evil' } } }, /evil is no service of management.services/],
  [{ bundles: { authz: {} } }, /^bundles.authz: names no service, and there are several$/],
  [{ bundles: { authz: { service: 'control', resource: '../secrets' } } }, /no path below the URL/],
  [{ bundles: { authz: { service: 'control', resource: 'https://evil.example/x' } } }, /no path below the URL/],
  [{ bundles: { authz: { service: 'control', resource: '/\\evil' } } }, /no path below the URL/],
  [{ bundles: { authz: { service: 'control', resource: '$' + '{SECRET}' } } }, /no path below the URL/],
  [{ bundles: { '../x': { service: 'control' } } }, /bundles/],
  [{ bundles: { authz: { service: 'control', credentials: {} } } }, /bundles.authz.credentials: is not known/],
  [
    { bundles: { authz: { service: 'control', signing: { keyid: 'x' } } } },
    /policy.signature, which is not configured/,
  ],
  [{ bundles: { authz: { service: 'control', polling: { min_delay_seconds: 0 } } } }, /min_delay_seconds/],
  [
    { bundles: { authz: { service: 'control', polling: { min_delay_seconds: 9, max_delay_seconds: 1 } } } },
    /too small/,
  ],
  [{ status: { service: 'control', plugin: 'x' } }, /^status.plugin: is not known/],
  [{ decision_logs: { service: 'control', mask_decision: '/my/mask' } }, /mask_decision/],
  [{ decision_logs: { service: 'control', reporting: { max_decisions_per_second: 1 } } }, /max_decisions_per_second/],
  [{ decision_logs: { service: 'control', reporting: { min_delay_seconds: 60, max_delay_seconds: 5 } } }, /too small/],
  [{ decision_logs: { service: 'control', request_context: {} } }, /request_context: is not known/],
  [{ labels: { x: 7 } }, /labels.x/],
];
for (const [value, fault] of refused) {
  test(`refused: ${JSON.stringify(value)}`, () => assert.match(faultsOf(value), fault));
}

test('a bundle that a policy names must be there', () => {
  const over = { wanted: new Set(['authz']) };
  assert.match(faultsOf({ bundles: {} }, over), /^bundles.authz: is missing, and a policy names it$/);
  assert.ok(readDiscovered({ bundles: { authz: { service: 'control' } } }, options(over)));
});

test('that bundles are signed may be said where they are verified', () => {
  const value = { bundles: { authz: { service: 'control', signing: { keyid: 'x' } } } };
  assert.ok(readDiscovered(value, options({ verifies: () => true })));
});

test('the only service need not be named', () => {
  const boot = managementOf({ services: [control] });
  const { config } = readDiscovered({ bundles: { authz: {} }, status: {}, decision_logs: {} }, options({ boot }));
  assert.equal(config.status?.service, control);
  assert.equal(config.decisionLogs?.service, control);
  assert.equal(config.bundles[0]?.service, 'control');
});

test('names of Object are only names', () => {
  for (const key of ['__proto__', 'constructor', 'toString'])
    assert.ok(
      faultsOf(JSON.parse(`{"bundles":{}}`), { wanted: new Set([key]) }).includes(`bundles.${key}: is missing`),
    );
});
