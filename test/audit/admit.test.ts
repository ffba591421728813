/** A request is handed to the upstream once what wants to be told before says so, and not before. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { RequestError } from '../../src/errors.ts';
import type { DecisionEvent } from '../../src/types.ts';
import { startTestSidecar, type TestSidecarOptions } from '../support/in-process.ts';

/** A sidecar before an upstream that only counts. */
async function startCounted(t: TestContext, admit: TestSidecarOptions['admit']) {
  const seen: string[] = [];
  const upstream = createServer((request, response) => {
    seen.push(String(request.headers['x-request-id']));
    response.setHeader('content-type', 'application/json').end('{"models":[]}');
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  const { port } = upstream.address() as AddressInfo;
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
    policy: { 'authz.rego': 'package ollama.authz\nallow := input.operation != "version"\n' },
    admit,
  });
  t.after(async () => {
    await sidecar.close();
    upstream.close();
  });
  const ask = (path: string) =>
    fetch(`${sidecar.url}${path}`, {
      headers: { authorization: `Bearer ${sidecar.token()}`, 'x-request-id': 'asked' },
    });
  return { sidecar, ask, seen: () => seen.filter((id) => id === 'asked').length };
}

test('nothing reaches the upstream until the record lets it, and then it does', async (t) => {
  let letGo = (): void => {};
  const told: DecisionEvent[] = [];
  const { ask, seen } = await startCounted(t, (make) => {
    told.push(JSON.parse(make()));
    return new Promise((resolve) => {
      letGo = resolve;
    });
  });
  const answer = ask('/api/tags');
  while (told.length === 0) await sleep(5);
  await sleep(50);
  assert.equal(seen(), 0);
  letGo();
  assert.equal((await answer).status, 200);
  assert.equal(seen(), 1);
  const [decision] = told;
  assert.deepEqual(
    [decision?.request_id, decision?.principal, decision?.operation, decision?.policy_result],
    ['asked', 'alice', 'models.list', 'allow'],
  );
});

test('where the record fails, the request ends with 503 and never reaches the upstream', async (t) => {
  const { sidecar, ask, seen } = await startCounted(t, () => Promise.reject(new RequestError('audit_unavailable')));
  const answer = await ask('/api/tags');
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('x-opallama-reason'), 'audit_unavailable');
  assert.match(JSON.stringify(await answer.json()), /can not be recorded/);
  assert.equal(seen(), 0);
  const [event] = await sidecar.waitForEvents(1);
  assert.deepEqual([event?.outcome, event?.error, event?.target], ['error', 'audit_unavailable', undefined]);
});

test('a request that the policy denies is never about to be forwarded', async (t) => {
  let asked = 0;
  const { ask } = await startCounted(t, () => {
    asked += 1;
    return undefined;
  });
  assert.equal((await ask('/api/version')).status, 403);
  assert.equal(asked, 0);
});
