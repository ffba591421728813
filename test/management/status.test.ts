/** What a status service is told, and when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { logsTo, policy, startManaged } from './managed.ts';

test('what decides, and what was refused, is told in the format of OPA when it changes', async (t) => {
  const { plane, sidecar } = await startManaged(t, (service) => ({
    status: { service, partition: 'edge', interval: 60_000 },
    decisionLogs: logsTo(service),
  }));
  await plane.until(() => plane.reports.length >= 1);
  const [first] = plane.reports;
  assert.equal(first?.path, '/status/edge');
  assert.equal(first?.headers['content-type'], 'application/json');
  assert.equal(first?.headers.authorization, 'Bearer let-me-in');
  const bundle = Object(first?.body['bundles'])['policy'];
  assert.equal(bundle.name, 'policy');
  assert.match(bundle.active_revision, /^[0-9a-f]{12}$/);
  assert.ok(Date.parse(bundle.last_successful_activation) > Date.now() - 60_000);
  // It comes from no server.
  assert.equal(bundle.last_request, '0001-01-01T00:00:00Z');
  assert.equal(bundle.code, undefined);
  assert.equal(Object(first?.body['plugins'])['bundle'].state, 'OK');
  assert.equal(Object(first?.body['labels'])['region'], 'test');

  sidecar.writePolicy({ 'authz.rego': 'package ollama.authz\n\nallow if {\n' });
  await sidecar.app.reload();
  await plane.until(() => Object(plane.reports.at(-1)?.body['bundles'])['policy'].code === 'bundle_error');
  const broken = Object(plane.reports.at(-1)?.body['bundles'])['policy'];
  assert.equal(broken.active_revision, bundle.active_revision);
  assert.equal(broken.last_successful_activation, bundle.last_successful_activation);
  assert.equal(broken.errors[0].code, 'rego_parse_error');
  assert.equal(broken.errors[0].location.file, 'authz.rego');
  assert.ok(broken.errors[0].location.row > 1);

  sidecar.writePolicy({ ...policy, 'more.rego': 'package more\n\nx := 1\n' });
  await sidecar.app.reload();
  await plane.until(() => Object(plane.reports.at(-1)?.body['bundles'])['policy'].code === undefined);
  assert.notEqual(Object(plane.reports.at(-1)?.body['bundles'])['policy'].active_revision, bundle.active_revision);
});

test('it is told again and again, and a service that was away is told once it is back', async (t) => {
  const { plane, sidecar } = await startManaged(
    t,
    (service) => ({ status: { service, partition: undefined, interval: 200 } }),
    { policyConfig: { engine: 'topdown' } },
  );
  await plane.until(() => plane.reports.length >= 3);
  assert.equal(plane.reports[0]?.path, '/status');
  plane.intercept = (_, response) => {
    response.writeHead(302, { location: '/v1/policy/status' }).end();
    return true;
  };
  const before = plane.requests.length;
  await plane.until(() => plane.requests.length > before + 1);
  assert.match(await sidecar.metrics(), /management_requests_total\{api="status",result="failure"\} [1-9]/);
  plane.intercept = undefined;
  const told = plane.reports.length;
  await plane.until(() => plane.reports.length > told);
});
