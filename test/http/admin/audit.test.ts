/** Operators ask the audit file by the admin API. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';

import { createAuditRecorded } from '../../../src/audit/sink.ts';
import { auditEvent, createTestFile, decisionEvent } from '../../audit/file-of-test.ts';
import { adminToken, callAdmin, codeOf } from '../../support/admin.ts';
import { startTestSidecar } from '../../support/in-process.ts';

async function start(t: TestContext, withFile = true) {
  const file = createTestFile(t);
  const sink = await file.open();
  const time = new Date().toISOString();
  const tell = (id: string, over: Parameters<typeof auditEvent>[1] = {}) =>
    sink.write(createAuditRecorded(auditEvent(id, { time, ...over })));
  tell('old', { time: '2026-01-01T00:00:00.000Z' });
  tell('a');
  tell('b', { principal: 'bob x&y', policy_result: 'deny', outcome: 'denied' });
  await sink.admit?.(() => JSON.stringify({ ...decisionEvent('flying'), time }));
  await sink.settle();
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    policy: { 'authz.rego': 'package ollama.authz\nallow := true\n' },
    adminTokens: { oncall: adminToken },
    ...(withFile && { auditFile: file.config }),
  });
  t.after(async () => {
    await sidecar.close();
    await sink.close();
  });
  return async (query: string) => {
    const answer = await callAdmin(sidecar, `/v1/audit${query}`);
    const { requests } = answer.body;
    return { ...answer, ids: Array.isArray(requests) ? requests.map(({ request_id }) => request_id) : undefined };
  };
}

test('requests of the last hour are told of, those that have not ended too', async (t) => {
  const ask = await start(t);
  const { ids, body } = await ask('');
  assert.deepEqual(ids, ['a', 'b', 'flying']);
  assert.equal(body['left_out'], 0);
  const { requests } = body;
  assert.ok(Array.isArray(requests));
  assert.equal(requests.at(-1)?.outcome, 'pending');
  assert.ok(!('hash' in requests[0]));
});

test('the query filters, and says how many were left out', async (t) => {
  const ask = await start(t);
  assert.deepEqual((await ask('?since=2025-01-01T00:00:00Z&outcome=complete')).ids, ['old', 'a']);
  assert.deepEqual((await ask('?principal=bob%20x%26y')).ids, ['b']);
  assert.deepEqual((await ask('?result=deny&model=tiny&provider=ollama')).ids, ['b']);
  const limited = await ask('?limit=1');
  assert.deepEqual([limited.ids, limited.body['left_out']], [['flying'], 2]);
});

test('what is no such parameter, or makes no sense, is refused', async (t) => {
  const ask = await start(t);
  for (const query of ['?user=a', '?limit=0', '?limit=1001', '?limit=x', '?since=yesterday', '?model=a&model=b']) {
    const answer = await ask(query);
    assert.deepEqual([answer.status, codeOf(answer)], [400, 'invalid_member'], query);
  }
});

test('where no audit file is written there is nothing to ask', async (t) => {
  const ask = await start(t, false);
  const answer = await ask('');
  assert.deepEqual([answer.status, codeOf(answer)], [404, 'unknown_route']);
});
