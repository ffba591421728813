/** A sidecar whose control plane says where its bundle is and where status and decisions go. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { DiscoveryConfig } from '../../src/configured/management.ts';
import { signBundle } from '../../src/policy/sign-bundle.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { bundleOfService } from '../../src/service-bundle.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { bundleOf, makeDirectory } from './makers.ts';
import { decide, managementOf, serviceAt } from './managed.ts';

const discovered = (authz: string, more: object = {}) => ({
  bundles: { authz: { resource: authz, polling: { min_delay_seconds: 1, max_delay_seconds: 1 } } },
  status: { partition_name: 'found' },
  decision_logs: { reporting: { min_delay_seconds: 1, max_delay_seconds: 1 } },
  ...more,
});
const dataBundle = (revision: string, value: unknown) =>
  bundleOf(revision, { 'discovery/data.json': JSON.stringify({ config: value }) });

test('a discovered configuration says which bundle decides, and is followed', async (t) => {
  const { plane, start } = await makePlace(t);
  plane.serve('discovery.tar.gz', await dataBundle('d1', discovered('bundles/a.tar.gz')));
  plane.serve('bundles/a.tar.gz', await bundleOf('a1'));
  plane.serve('bundles/b.tar.gz', await bundleOf('b1'));
  const sidecar = await start();
  const report = () => plane.reports.at(-1);
  const told = (name: string) => Object(Object(report()?.body['bundles'])[name]);
  await plane.until(() => told('authz')['active_revision'] === 'a1');
  assert.equal(report()?.path, '/status/found');
  assert.equal(Object(report()?.body['discovery'])['active_revision'], 'd1');
  assert.equal(Object(report()?.body['discovery'])['name'], 'discovery');
  assert.equal(Object(report()?.body['plugins'])['discovery'].state, 'OK');
  await decide(sidecar);
  await plane.until(() => plane.events().length === 1);
  assert.deepEqual(plane.events()[0]?.['bundles'], { authz: { revision: 'a1' } });

  plane.serve('discovery.tar.gz', await dataBundle('d2', discovered('bundles/b.tar.gz', { labels: { zone: 'b' } })));
  await plane.until(() => told('authz')['active_revision'] === 'b1');
  await plane.until(() => Object(report()?.body['labels'])['zone'] === 'b');
  assert.match(await readyz(sidecar), /^discovery: revision d2 counts$/m);

  // As a whole: that the bundle would be another one is not taken either.
  const evil = discovered('bundles/a.tar.gz', { services: { control: { url: 'http://127.0.0.1:1' } } });
  plane.serve('discovery.tar.gz', await dataBundle('d3', evil));
  await plane.until(() => Object(report()?.body['discovery'])['code'] === 'bundle_error');
  const failed = Object(report()?.body['discovery']);
  assert.equal(failed.active_revision, 'd2');
  assert.equal(failed.errors[0].message, "services: is the sidecar's own to configure");
  assert.match(await readyz(sidecar), /discovery: the last one was refused: .*\n {2}.*services/);
  assert.equal(told('authz')['active_revision'], 'b1');
  assert.match(await sidecar.metrics(), /management_requests_total\{api="discovery",result="failure"\} [1-9]/);
});

test('a restart without the control plane goes on with what was discovered last, and with its policy', async (t) => {
  const { plane, start } = await makePlace(t);
  plane.serve('discovery.tar.gz', await dataBundle('d1', discovered('bundles/a.tar.gz')));
  plane.serve('bundles/a.tar.gz', await bundleOf('a1'));
  const first = await start();
  await plane.until(() => plane.reports.length > 0);
  await first.close();
  plane.intercept = (request) => {
    request.socket.destroy();
    return true;
  };
  const second = await start();
  assert.match(await readyz(second), /^discovery: revision d1 counts, kept from an earlier run$/m);
  assert.match(await readyz(second), /^policy: revision a1 decides, kept from an earlier run$/m);
  plane.intercept = undefined;
  await until(async () => /^policy: revision a1 decides$/m.test(await readyz(second)));
});

test('with nothing discovered it starts, denies everything, and goes on asking', async (t) => {
  const { plane, start } = await makePlace(t);
  const sidecar = await start();
  assert.equal((await fetch(`${sidecar.opsUrl}/readyz`)).status, 503);
  assert.match(await readyz(sidecar), /discovery: nothing was discovered yet/);
  assert.match(await readyz(sidecar), /Nobody has said yet which service has the bundle authz/);
  plane.serve('bundles/a.tar.gz', await bundleOf('a1'));
  plane.serve('discovery.tar.gz', await dataBundle('d1', discovered('bundles/a.tar.gz')));
  await until(async () => (await fetch(`${sidecar.opsUrl}/readyz`)).status === 200);
  assert.match(await readyz(sidecar), /^policy: revision a1 decides$/m);
});

test('Rego may make the configuration, in a thread that can be ended', async (t) => {
  const { plane, start } = await makePlace(t, { decision: 'discovery/config' });
  const rego = `package discovery

config := {"bundles": {"authz": {"resource": concat("/", ["bundles", "a.tar.gz"])}}}
`;
  plane.serve('discovery.tar.gz', await bundleOf('d1', { 'discovery.rego': rego }));
  plane.serve('bundles/a.tar.gz', await bundleOf('a1'));
  const sidecar = await start();
  assert.match(await readyz(sidecar), /^policy: revision a1 decides$/m);
});

test('where a signature is asked for, nothing else is discovered', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = {
    algorithm: 'ES256',
    key: publicKey,
    keyId: undefined,
    scope: undefined,
    excludeFiles: [],
  } as const;
  const { plane, start } = await makePlace(t, { signature });
  plane.serve('bundles/a.tar.gz', await bundleOf('a1'));
  plane.serve('discovery.tar.gz', await dataBundle('d1', discovered('bundles/a.tar.gz')));
  const sidecar = await start();
  assert.match(await readyz(sidecar), /discovery: nothing was discovered yet\n.*sign/);
  const files = new Map([
    ['discovery/data.json', Buffer.from(JSON.stringify({ config: discovered('bundles/a.tar.gz') }))],
    ['.manifest', Buffer.from('{"revision":"d2","roots":["discovery"]}')],
  ]);
  files.set('.signatures.json', Buffer.from(signBundle(files, { key: privateKey, algorithm: 'ES256', claims: {} })));
  plane.serve('discovery.tar.gz', await packBundle(files));
  await until(async () => /^discovery: revision d2 counts$/m.test(await readyz(sidecar)));
});

interface Place {
  readonly plane: ControlPlane;
  start(): Promise<TestSidecar>;
}

async function makePlace(t: TestContext, over: Partial<DiscoveryConfig> = {}): Promise<Place> {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const stateDir = makeDirectory(t);
  const service = serviceAt(plane.url);
  const polling = { poll: 200, longPoll: 0, timeout: 5000, size: 1 << 20 };
  return {
    plane,
    async start() {
      const nobody = { token: undefined, tokenSource: undefined, tls: undefined };
      const sidecar = await startTestSidecar({
        upstream: 'http://127.0.0.1:9',
        policyConfig: {
          bundle: { url: new URL('bundle:authz'), name: 'authz', ...nobody, ...polling },
          stateDir,
          path: join(stateDir, 'policy.download.tar.gz'),
        },
        management: managementOf({
          services: [service],
          discovery: {
            service: service.name,
            resource: 'discovery.tar.gz',
            bundle: bundleOfService(service, { name: 'discovery', resource: 'discovery.tar.gz', ...polling }),
            decision: 'discovery/config',
            stateDir,
            signature: undefined,
            ...over,
          },
        }),
      });
      let closing: Promise<void> | undefined;
      const close = (): Promise<void> => {
        closing ??= sidecar.close();
        return closing;
      };
      t.after(close);
      return { ...sidecar, close };
    },
  };
}

async function readyz(sidecar: TestSidecar): Promise<string> {
  return (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(50)) if (await holds()) return;
  assert.fail('not within 30 s');
}
