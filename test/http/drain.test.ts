/** How a sidecar leaves: what it still takes, what it waits for, and what is told of that. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createDrain, type DrainState } from '../../src/http/drain.ts';
import { adminToken, callAdmin, codeOf } from '../support/admin.ts';
import { undisturbed } from '../support/at-best.ts';
import { startTestSidecar, type TestSidecarOptions } from '../support/in-process.ts';
import { startSlowUpstream } from '../support/slow-upstream.ts';

async function start(t: TestContext, options: Partial<TestSidecarOptions> = {}) {
  const upstream = await startSlowUpstream();
  t.after(() => upstream.close());
  const sidecar = await startTestSidecar({
    upstream: upstream.url,
    policy: { 'authz.rego': 'package ollama.authz\ndefault allow := true\n' },
    adminTokens: { preStop: adminToken },
    ...options,
  });
  t.after(() => sidecar.close());
  const chat = (more: RequestInit = {}) =>
    fetch(`${sidecar.url}/api/chat`, {
      ...more,
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token()}` },
      body: '{"model":"tiny","messages":[]}',
    });
  const ready = async () => (await fetch(`${sidecar.opsUrl}/readyz`)).status;
  return { upstream, sidecar, chat, ready };
}

test('a sidecar that leaves is unready at once, takes requests for the delay, then refuses them, and waits for the last', async (t) => {
  await undisturbed(50, async () => {
    const { upstream, sidecar, chat, ready } = await start(t, { shutdown: { delay: 300, grace: 30_000 } });
    const early = await chat();
    assert.equal(await ready(), 200);
    const left = sidecar.app.leave();
    assert.equal(await ready(), 503);
    assert.equal((await fetch(`${sidecar.opsUrl}/healthz`)).status, 200);
    const late = await chat();
    assert.deepEqual([late.status, late.headers.get('connection')], [200, 'close']);
    await sleep(350);
    const refused = await chat();
    assert.deepEqual(
      [refused.status, refused.headers.get('x-opallama-reason'), refused.headers.get('retry-after')],
      [503, 'shutting_down', '1'],
    );
    assert.equal(await Promise.race([left, sleep(50, 'waits')]), 'waits');
    upstream.finish();
    assert.match(await early.text(), /"done":true/);
    assert.match(await late.text(), /"done":true/);
    const { drained, inFlight, waitedMs } = await left;
    assert.deepEqual([drained, inFlight], [true, 0]);
    // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
    assert.ok(waitedMs >= 200 && waitedMs < 10_000, `${waitedMs} ms`);
    const events = await sidecar.waitForEvents(3);
    assert.deepEqual(events.map(({ outcome, error }) => error ?? outcome).toSorted(), [
      'complete',
      'complete',
      'shutting_down',
    ]);
  });
});

test('what is in flight longer than the grace is not waited for', async (t) => {
  const { sidecar, chat } = await start(t, { shutdown: { delay: 0, grace: 100 } });
  const answer = await chat();
  const { drained, inFlight } = await sidecar.app.leave();
  assert.deepEqual([drained, inFlight], [false, 1]);
  await sidecar.app.close(0);
  await assert.rejects(answer.text());
  const [event] = await sidecar.waitForEvents(1);
  assert.deepEqual([event?.outcome, event?.status, event?.error], ['incomplete', 200, 'shutting_down']);
});

test('what is cut before it has an answer is no client that left, and one that left before is', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  t.after(() => silent.closeAllConnections());
  const asked: unknown[] = [];
  silent.on('request', ({ method }) => method === 'POST' && asked.push(method));
  const { port } = silent.address() as AddressInfo;
  const { sidecar, chat } = await start(t, { upstream: `http://127.0.0.1:${port}`, shutdown: { delay: 0, grace: 50 } });
  const leaving = new AbortController();
  await assert.rejects(async () => {
    const left = chat({ signal: leaving.signal });
    while (asked.length < 1) await sleep(5);
    leaving.abort();
    await left;
  });
  await sidecar.waitForEvents(1);
  const cut = chat().catch(() => 'cut');
  while (asked.length < 2) await sleep(5);
  await sidecar.app.leave();
  await sidecar.app.close(0);
  assert.equal(await cut, 'cut');
  const events = await sidecar.waitForEvents(2);
  assert.deepEqual(
    events.map(({ outcome, status, error }) => [outcome, status, error]),
    [
      ['aborted', 499, 'client_closed_request'],
      ['error', 503, 'shutting_down'],
    ],
  );
});

test('a connection that is kept is closed when it becomes idle, so that it holds nothing up', async (t) => {
  const { upstream, sidecar } = await start(t, { shutdown: { delay: 0, grace: 5000 } });
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const headers = { authorization: `Bearer ${sidecar.token()}` };
  const request = httpRequest(`${sidecar.url}/api/chat`, { method: 'POST', agent, headers });
  request.end('{"model":"tiny","messages":[]}');
  const [response] = await new Promise<[import('node:http').IncomingMessage]>((resolve) =>
    request.once('response', (each) => resolve([each])),
  );
  response.resume();
  const began = performance.now();
  const closed = sidecar.app.close(30_000);
  upstream.finish();
  await closed;
  assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`);
});

test('the admin API drains: it answers when nothing is in flight any more, and the sidecar serves again where nobody stops it', async (t) => {
  const { upstream, sidecar, chat, ready } = await start(t, {
    shutdown: { delay: 0, grace: 30_000 },
    adminScope: 'drain',
  });
  const answer = await chat();
  const drained = callAdmin(sidecar, '/v1/drain', { method: 'POST' });
  assert.equal(await Promise.race([drained, sleep(100, 'waits')]), 'waits');
  assert.equal(await ready(), 503);
  upstream.finish();
  await answer.text();
  const { status, body } = await drained;
  assert.deepEqual([status, body['drained'], body['in_flight']], [200, true, 0]);
  // The stop that follows has nothing to wait for.
  const began = performance.now();
  await sidecar.app.leave();
  assert.ok(performance.now() - began < 10_000);
});

test('a token that is there to drain is good for nothing else', async (t) => {
  const { sidecar } = await start(t, { adminScope: 'drain' });
  for (const [method, path] of [
    ['GET', '/v1/status'],
    ['POST', '/v1/policies/policy/rollback'],
    ['POST', '/v1/policies/policy/reload'],
    ['POST', '/v1/explain'],
  ] as const) {
    const answer = await callAdmin(sidecar, path, { method });
    assert.deepEqual([answer.status, codeOf(answer)], [403, 'insufficient_scope'], path);
  }
});

test('a token that is there to read changes nothing', async (t) => {
  const { sidecar, ready } = await start(t, { adminScope: 'read' });
  assert.equal((await callAdmin(sidecar, '/v1/status')).status, 200);
  for (const path of ['/v1/drain', '/v1/policies/policy/reload'])
    assert.equal(codeOf(await callAdmin(sidecar, path, { method: 'POST' })), 'insufficient_scope', path);
  assert.equal(await ready(), 200);
});

function drainOf(inFlight: () => number) {
  const states: DrainState[] = [];
  const drain = createDrain({
    delayMs: 20,
    graceMs: 1000,
    holdMs: 40,
    inFlight,
    onChange: (state) => states.push(state),
  });
  return { drain, states };
}

test('who drained for now serves again after the hold, and can drain once more', async () => {
  const { drain, states } = drainOf(() => 0);
  await Promise.all([drain.leaveForNow(), drain.leaveForNow()]);
  assert.equal(drain.state(), 'refusing');
  await sleep(80);
  assert.deepEqual(states, ['leaving', 'refusing', 'serving']);
  await drain.leaveForNow();
  drain.stay();
  await sleep(80);
  assert.equal(drain.state(), 'refusing');
});

test('who has nobody to tell cuts a delay short that has begun', async () => {
  let inFlight = 1;
  const drain = createDrain({
    delayMs: 30_000,
    graceMs: 1000,
    holdMs: 1,
    inFlight: () => inFlight,
    onChange: () => {},
  });
  const left = drain.leave();
  void drain.leave({ delayMs: 0 });
  inFlight = 0;
  const { waitedMs } = await left;
  assert.ok(waitedMs < 10_000, `${waitedMs} ms`);
});

test('where readiness asks for the upstream, it follows it; where not, it does not', async (t) => {
  const { upstream, ready } = await start(t, { upstreamConfig: { readiness: 'required', checkEvery: 100 } });
  const other = await start(t);
  const becomes = async (wanted: number) => {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20))
      if ((await ready()) === wanted) return;
    assert.fail(`never ${wanted}`);
  };
  await becomes(200);
  upstream.close();
  await becomes(503);
  const again = await startSlowUpstream(Number(new URL(upstream.url).port));
  t.after(() => again.close());
  await becomes(200);
  other.upstream.close();
  await sleep(150);
  assert.equal(await other.ready(), 200);
});
