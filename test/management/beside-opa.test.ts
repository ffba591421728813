/**
 * A real OPA, of the version that `opa/go.mod` names, and a sidecar on the same control plane: both load the same bundle,
 * report it and send their decisions, and what they send is compared member by member.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { bundleOfService } from '../../src/service-bundle.ts';
import { type Json, startControlPlane } from '../support/control-plane.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../support/opa-cli.ts';
import { startOpaServer } from '../support/opa-server.ts';
import { bundleOf, makeDirectory } from './makers.ts';
import { decide, managementOf, policy, serviceAt } from './managed.ts';

const masks = {
  'system/log.rego': `package system.log

mask contains "/input/principal/id"
mask contains {"op": "upsert", "path": "/input/client/ip", "value": "0.0.0.0"}
drop if input.input.model == "unlogged"
`,
};

/** By kind, where the values must differ: two processes, two times. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return `list of ${[...new Set(value.map(kindOf))].join()}`;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)) return 'time';
  return value === null ? 'null' : typeof value;
}

test('OPA and the sidecar tell the same control plane the same', { skip: noGo, timeout: buildLimitMs }, async (t) => {
  await buildOpaCli();
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const files = { ...policy, ...masks };
  plane.serve('bundles/authz.tar.gz', await bundleOf('r1', files));

  const directory = makeDirectory(t);
  // Where everything else is, both are told by the same discovery bundle.
  const polling = { min_delay_seconds: 1, max_delay_seconds: 1 };
  const discovered = {
    bundles: { authz: { service: 'control', resource: 'bundles/authz.tar.gz', polling } },
    status: { service: 'control' },
    decision_logs: { service: 'control', reporting: polling },
  };
  const discovery = { 'discovery/data.json': JSON.stringify({ config: discovered }) };
  plane.serve('discovery.tar.gz', await bundleOf('d1', discovery));
  const configuration = {
    labels: { region: 'test', who: 'opa' },
    services: { control: { url: plane.url, credentials: { bearer: { token: 'let-me-in' } } } },
    discovery: { service: 'control', resource: 'discovery.tar.gz', decision: 'discovery/config', polling },
  };
  writeFileSync(join(directory, 'opa.json'), JSON.stringify(configuration));
  const opa = await startOpaServer({ args: ['--config-file', join(directory, 'opa.json'), '--log-level', 'info'] });
  t.after(() => opa.kill());

  const service = serviceAt(plane.url);
  const asked = { poll: 500, longPoll: 0, timeout: 5000, size: 1 << 20 };
  const nobody = { token: undefined, tokenSource: undefined, tls: undefined };
  const resource = 'discovery.tar.gz';
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    policyConfig: {
      bundle: { url: new URL('bundle:authz'), name: 'authz', ...nobody, ...asked },
      stateDir: directory,
      path: join(directory, 'policy.download.tar.gz'),
    },
    management: managementOf({
      labels: { region: 'test', who: 'sidecar' },
      services: [service],
      discovery: {
        service: service.name,
        resource,
        bundle: bundleOfService(service, { name: 'discovery', resource, ...asked }),
        decision: 'discovery/config',
        stateDir: directory,
        signature: undefined,
      },
    }),
  });
  t.after(() => sidecar.close());

  const whoOf = (body: Json | undefined) => Object(body?.['labels'])['who'];
  const reportOf = (who: string) => plane.reports.findLast(({ body }) => whoOf(body) === who);
  const bundleTold = (who: string) => Object(Object(reportOf(who)?.body['bundles'])['authz']);
  const discoveryTold = (who: string) => Object(reportOf(who)?.body['discovery']);
  const eventsOf = (who: string) => plane.events().filter((event) => whoOf(event) === who);
  const bothActivate = (revision: string) =>
    plane.until(() => ['opa', 'sidecar'].every((who) => bundleTold(who)['active_revision'] === revision));
  /** Of both bundles, which are asked for apart. */
  const bothTell = (holds: (bundle: Json) => boolean) =>
    plane.until(() => ['opa', 'sidecar'].every((who) => holds(bundleTold(who)) && holds(discoveryTold(who))));
  await bothActivate('r1');

  await t.test('a decision has the members that OPA gives it, of the same kinds', async () => {
    await decide(sidecar, { model: 'unlogged', messages: [] });
    const id = await decide(sidecar);
    await plane.until(() => eventsOf('sidecar').length > 0);
    const recorded = sidecar.events.find((event) => event.decision_id === id)?.input;
    const ask = async (input: unknown) => {
      const response = await fetch(new URL('/v1/data/ollama/authz', opa.url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ input }),
      });
      await response.arrayBuffer();
    };
    await ask({ ...recorded, model: 'unlogged' });
    await ask(recorded);
    await plane.until(() => eventsOf('opa').length > 0);
    const [theirs, ours] = [eventsOf('opa')[0] ?? {}, eventsOf('sidecar')[0] ?? {}];
    // `data.system.log.drop` was heeded by both.
    assert.equal(eventsOf('opa').length, 1);
    assert.equal(eventsOf('sidecar').length, 1);
    const own = ['custom'];
    assert.deepEqual(
      Object.keys(ours)
        .filter((member) => !own.includes(member))
        .sort(),
      Object.keys(theirs).sort(),
    );
    for (const [member, value] of Object.entries(theirs)) assert.equal(kindOf(ours[member]), kindOf(value), member);
    for (const member of ['path', 'bundles', 'erased', 'masked', 'input'])
      assert.deepEqual(ours[member], theirs[member], member);
    assert.equal(Object(ours['input'])['principal'].id, undefined);
    assert.deepEqual(Object.keys(Object(ours['labels'])).sort(), Object.keys(Object(theirs['labels'])).sort());
    assert.equal(Object(ours['result'])['allowed'], Object(theirs['result'])['allow']);
    const timer = 'timer_rego_query_eval_ns';
    assert.equal(kindOf(Object(ours['metrics'])[timer]), kindOf(Object(theirs['metrics'])[timer]));
  });

  await t.test('an upload is one as OPA makes it', () => {
    const [theirs, ours] = ['opa', 'sidecar'].map((who) =>
      plane.uploads.find(({ events }) => whoOf(events[0]) === who),
    );
    assert.equal(ours?.path, theirs?.path);
    for (const header of ['content-type', 'content-encoding', 'authorization'] as const)
      assert.equal(ours?.headers[header], theirs?.headers[header], header);
  });

  const compareStatus = (): void => {
    const [theirs, ours] = [reportOf('opa'), reportOf('sidecar')];
    assert.equal(ours?.path, theirs?.path);
    for (const header of ['content-type', 'authorization'] as const)
      assert.equal(ours?.headers[header], theirs?.headers[header], header);
    compareBundles(bundleTold('opa'), bundleTold('sidecar'));
    compareBundles(discoveryTold('opa'), discoveryTold('sidecar'));
    for (const member of ['labels', 'bundles', 'discovery', 'plugins', 'decision_logs', 'metrics'])
      assert.equal(kindOf(ours?.body[member]), kindOf(theirs?.body[member]), member);
    for (const plugin of ['bundle', 'discovery', 'decision_logs', 'status'])
      assert.equal(
        Object(Object(ours?.body['plugins'])[plugin])['state'],
        Object(Object(theirs?.body['plugins'])[plugin])['state'],
        plugin,
      );
  };
  const compareBundles = (told: Json, telling: Json): void => {
    for (const [member, value] of Object.entries(told)) {
      // OPA's timers of its own stages.
      if (member === 'metrics') continue;
      assert.equal(kindOf(telling[member]), kindOf(value), member);
    }
    for (const member of Object.keys(telling)) assert.ok(Object.hasOwn(told, member), member);
    for (const member of ['name', 'type', 'active_revision', 'code', 'http_code'])
      assert.deepEqual(telling[member], told[member], member);
    // OPA reads Rego while it downloads: what does not parse was none.
    if (told['code'] === undefined) assert.equal(telling['size'], told['size']);
  };
  await t.test('status has the members that OPA gives it, and the same revision', async () => {
    await plane.until(() => ['opa', 'sidecar'].every((who) => reportOf(who)?.body['decision_logs'] !== undefined));
    compareStatus();
  });

  await t.test('a broken bundle is refused by both, with the same code, file and line', async () => {
    plane.serve(
      'bundles/authz.tar.gz',
      await bundleOf('r2', { ...files, 'authz.rego': 'package ollama.authz\n\nallow if {\n' }),
    );
    await plane.until(() => ['opa', 'sidecar'].every((who) => bundleTold(who)['code'] === 'bundle_error'));
    compareStatus();
    assert.equal(bundleTold('sidecar')['active_revision'], 'r1');
    const faultOf = (who: string) => Object(bundleTold(who)['errors']?.[0]);
    assert.equal(faultOf('sidecar')['code'], faultOf('opa')['code']);
    assert.equal(faultOf('sidecar')['location'].row, faultOf('opa')['location'].row);
    assert.match(faultOf('opa')['location'].file, /authz\.rego$/);
    assert.match(faultOf('sidecar')['location'].file, /authz\.rego$/);
  });

  await t.test('a server that has no bundle any more is told of by both', async () => {
    plane.intercept = (request, response) => {
      if (request.method !== 'GET') return false;
      response.writeHead(404).end();
      return true;
    };
    await bothTell((bundle) => Number(bundle['http_code']) === 404);
    compareStatus();
    plane.intercept = undefined;
  });

  await t.test('the next good one decides in both', async () => {
    plane.serve('bundles/authz.tar.gz', await bundleOf('r3', files));
    await bothActivate('r3');
    await bothTell((bundle) => bundle['code'] === undefined);
    compareStatus();
  });
});
