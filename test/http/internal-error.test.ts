/** What nobody foresaw still ends a request properly: answered, recorded once, no longer in flight. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';

import { createRecorder } from '../../src/audit/record.ts';
import type { Config } from '../../src/configured/config.ts';
import { createPipeline, type PipelineParts } from '../../src/http/pipeline.ts';
import { createSocketFaults } from '../../src/http/socket-faults.ts';
import { createBodyBudget } from '../../src/input/body.ts';
import type { AuditEvent } from '../../src/types.ts';
import { openConnections } from '../../src/upstream/connections.ts';
import { createUpstream } from '../../src/upstream/proxy.ts';
import { createVia } from '../../src/upstream/via.ts';
import { portOf } from '../support/port-of.ts';

const config: Config = {
  listen: {
    data: { host: '127.0.0.1', port: 0 },
    ops: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    hosts: [],
  },
  upstream: { baseUrl: new URL('http://127.0.0.1:9'), readiness: 'ignored', checkEvery: 5000 },
  cors: { origins: [] },
  prefixes: [],
  policies: [],
  identity: {
    jwt: [],
    issuers: [],
    removedKeyGrace: 0,
    ollamaKeys: [],
    clientCertificates: [],
    anonymous: undefined,
    acceptUnknownCredentials: false,
    rolePrecedence: [],
  },
  timeouts: { connect: 100, firstByte: 100, idle: 100, total: 0, headers: 1000, body: 1000 },
  limits: { body: 1000, bodiesTotal: 10_000, blob: 1000, headers: 16_384, inFlight: 10 },
  audit: { stdout: false },
  admin: { tokens: [], keepDecisions: 0 },
  shutdown: { delay: 0, grace: 1000 },
  log: { level: 'silent' },
};

/** A pipeline in which one part is broken. */
async function startPipeline(t: TestContext, broken: Partial<PipelineParts>) {
  const events: AuditEvent[] = [];
  const told: unknown[] = [];
  const upstream = createUpstream({
    baseUrl: config.upstream.baseUrl,
    connections: openConnections({ ...config.upstream, timeouts: config.timeouts }),
  });
  const pipeline = createPipeline({
    config,
    drainState: () => 'serving',
    identify: () => ({
      id: 'alice',
      kind: 'jwt',
      roles: [],
      agentRole: undefined,
      permissions: [],
      tenant: undefined,
      claims: {},
    }),
    policy: () => ({
      reads: { all: false, members: new Set() },
      codes: new Set(),
      readsContent: false,
      decide: () => Promise.reject(new Error('not asked')),
    }),
    upstream,
    via: createVia(),
    bodies: createBodyBudget(10_000),
    record: createRecorder({
      observers: [(event) => events.push(event)],
      withoutContent: () => ({}),
    }),
    extraHeaders: {},
    faults: createSocketFaults(),
    onInternalError: (error) => told.push(error),
    ...broken,
  });
  const server = createServer((request, response) => void pipeline.handle(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    upstream.close();
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server);
  return { url: `http://127.0.0.1:${port}`, events, told, pipeline };
}

test('a stage that throws what it should not is a 500 that says nothing of it', async (t) => {
  const secret = new Error('a secret of the inside');
  const { url, events, told, pipeline } = await startPipeline(t, {
    identify() {
      throw secret;
    },
  });
  const answer = await fetch(`${url}/api/version`);
  assert.equal(answer.status, 500);
  assert.doesNotMatch(await answer.text(), /secret/);
  assert.equal(answer.headers.get('x-opallama-reason'), 'internal_error');
  assert.deepEqual(told, [secret]);
  assert.deepEqual(
    events.map(({ outcome, status, error }) => [outcome, status, error]),
    [['error', 500, 'internal_error']],
  );
  assert.equal(pipeline.inFlight(), 0);
});

test('an engine that rejects is a 500 as well', async (t) => {
  const { url, events } = await startPipeline(t, {});
  assert.equal((await fetch(`${url}/api/version`)).status, 500);
  assert.deepEqual(
    events.map(({ outcome, error }) => [outcome, error]),
    [['error', 'internal_error']],
  );
});

test('where even the answer to a failure fails the connection is cut, and the request is told of', async (t) => {
  const { url, events, pipeline } = await startPipeline(t, { extraHeaders: { 'x-broken': 'line\nbreak' } });
  await assert.rejects(fetch(`${url}/api/version`));
  assert.deepEqual(
    events.map(({ outcome, error }) => [outcome, error]),
    [['error', 'internal_error']],
  );
  assert.equal(pipeline.inFlight(), 0);
});
