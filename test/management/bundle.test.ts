/** A bundle of a service, as OPA's configuration names it: below the path of the service, with its token. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { bundleOfService } from '../../src/service-bundle.ts';
import { startControlPlane } from '../support/control-plane.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { bundleOf, makeDirectory } from './makers.ts';
import { managementOf, serviceAt } from './managed.ts';

test('a bundle of a service decides, and status says when it was asked for and what it is', async (t) => {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  plane.serve('bundles/authz', await bundleOf('r1'));
  const service = serviceAt(plane.url);
  const polling = { poll: 200, longPoll: 0, timeout: 5000, size: 1 << 20 };
  const bundle = bundleOfService(service, { name: 'authz', resource: 'bundles/authz', ...polling });
  const stateDir = makeDirectory(t);
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    policyConfig: { bundle, stateDir, path: join(stateDir, 'policy.download.tar.gz'), engine: 'topdown' },
    management: managementOf({ status: { service, partition: undefined, interval: 200 } }),
  });
  t.after(() => sidecar.close());
  const status = () => Object(Object(plane.reports.at(-1)?.body['bundles'])['authz']);
  await plane.until(() => status()['active_revision'] === 'r1');
  assert.equal(status()['name'], 'authz');
  assert.equal(status()['type'], 'snapshot');
  assert.equal(status()['size'], (await bundleOf('r1')).length);
  for (const member of ['last_request', 'last_successful_request', 'last_successful_download'])
    assert.ok(Date.parse(status()[member]) > Date.now() - 60_000, member);

  plane.intercept = (request, response) => {
    if (request.method !== 'GET') return false;
    assert.equal(request.headers.authorization, 'Bearer let-me-in');
    response.writeHead(503).end();
    return true;
  };
  await plane.until(() => status()['code'] === 'bundle_error');
  assert.equal(status()['http_code'], 503);
  assert.equal(status()['active_revision'], 'r1');
  assert.ok(Date.parse(status()['last_request']) > Date.parse(status()['last_successful_request']));
  plane.intercept = undefined;
  plane.serve('bundles/authz', await bundleOf('r2'));
  await plane.until(() => status()['active_revision'] === 'r2' && status()['code'] === undefined);
});
