/** Going back to a former revision, and staying there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { callAdmin, codeOf } from '../support/admin.ts';
import { numberedPolicy, reload, startChanging, whoDecides } from '../support/changing-policy.ts';
import type { TestSidecar } from '../support/in-process.ts';

const rollBack = (sidecar: TestSidecar, send: unknown = {}) =>
  callAdmin(sidecar, '/v1/policies/policy/rollback', { send });

async function revisionsOf(sidecar: TestSidecar): Promise<readonly (readonly [string, string])[]> {
  const { body } = await callAdmin(sidecar, '/v1/policies/policy/revisions');
  const list = Array.isArray(body['revisions']) ? body['revisions'] : [];
  return list.map(({ revision, state }) => [revision, state]);
}

test('a rollback goes back one revision at a time, as far as they are kept', async (t) => {
  const sidecar = await startChanging(t);
  for (const number of [1, 2, 3]) assert.equal((await reload(sidecar, numberedPolicy(number)))['result'], 'loaded');
  const kept = await revisionsOf(sidecar);
  assert.deepEqual(
    kept.map(([, state]) => state),
    ['decides', 'kept', 'kept'],
  );
  assert.equal(await whoDecides(sidecar, 'alice'), 3);
  const { status, body } = await rollBack(sidecar);
  assert.deepEqual([status, body['former_revision'], body['revision']], [200, kept[0]?.[0], kept[1]?.[0]]);
  assert.equal(await whoDecides(sidecar, 'alice'), 2);
  assert.equal(sidecar.events.at(-1)?.revision, kept[1]?.[0]);
  await rollBack(sidecar);
  assert.equal(await whoDecides(sidecar, 'alice'), 1);
  const last = await rollBack(sidecar);
  assert.deepEqual([last.status, codeOf(last)], [409, 'nothing_to_undo']);
  assert.equal(await whoDecides(sidecar, 'alice'), 1);
  // And forward again, by name.
  await rollBack(sidecar, { revision: kept[0]?.[0] });
  assert.equal(await whoDecides(sidecar, 'alice'), 3);
  assert.equal(codeOf(await rollBack(sidecar, { revision: 'no-such' })), 'unknown_revision');
  assert.equal(codeOf(await rollBack(sidecar, { revision: 3 })), 'invalid_member');
});

test('what was rolled back stays, also where the policy changes, until a reload', async (t) => {
  const sidecar = await startChanging(t);
  await reload(sidecar, numberedPolicy(1));
  await rollBack(sidecar);
  assert.equal(await whoDecides(sidecar, 'alice'), 0);
  sidecar.writePolicy(numberedPolicy(2));
  await sidecar.app.reload();
  assert.equal(await whoDecides(sidecar, 'alice'), 0);
  const { body } = await callAdmin(sidecar, '/v1/policies');
  const [policy] = Array.isArray(body['policies']) ? body['policies'] : [];
  assert.ok(Date.parse(policy.waiting_since) >= Date.parse(policy.held_since));
  const verbose = await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
  assert.match(
    verbose,
    /^policy: was rolled back at \S+, until it is told to reload; it has changed since and waits$/m,
  );

  assert.equal((await reload(sidecar, {}))['result'], 'loaded');
  assert.equal(await whoDecides(sidecar, 'alice'), 2);
  // The one that was rolled back from is not what is gone back to.
  await rollBack(sidecar);
  assert.equal(await whoDecides(sidecar, 'alice'), 0);
});

test('a reload takes again what was rolled back and lies there unchanged', async (t) => {
  const sidecar = await startChanging(t);
  await reload(sidecar, numberedPolicy(1));
  await rollBack(sidecar);
  assert.equal((await reload(sidecar, {}))['result'], 'loaded');
  assert.equal(await whoDecides(sidecar, 'alice'), 1);
  sidecar.writePolicy(numberedPolicy(2));
  await sidecar.app.reload();
  assert.equal(await whoDecides(sidecar, 'alice'), 2, 'the hold is over');
});

test('a rollback while the next revision is being compiled wins over it', async (t) => {
  const sidecar = await startChanging(t);
  await reload(sidecar, numberedPolicy(1));
  const reloading = reload(sidecar, numberedPolicy(2));
  // Past the moment in which the files have to rest, and within the compiler's.
  await sleep(170);
  await rollBack(sidecar);
  const { revision } = await reloading;
  const now = (await revisionsOf(sidecar)).find(([, state]) => state === 'decides')?.[0];
  const decides = await whoDecides(sidecar, 'alice');
  // Where the compiler was the faster one, the rollback was from what it made.
  assert.ok(decides === 0 || decides === 1, `${decides}`);
  if (decides === 0) assert.equal(revision, now);
  await sidecar.app.reload();
  assert.equal(await whoDecides(sidecar, 'alice'), decides);
});

test('one of several policies is rolled back and the others stay', async (t) => {
  const deny = { 'authz.rego': 'package ollama.authz\ndeny contains "no" if input.model == "other"\n' };
  const sidecar = await startChanging(t, { allOf: { first: numberedPolicy(0), second: deny } });
  sidecar.writePolicy(numberedPolicy(1));
  await callAdmin(sidecar, '/v1/policies/first/reload', { method: 'POST' });
  const answer = await callAdmin(sidecar, '/v1/policies/second/rollback', { send: {} });
  assert.equal(codeOf(answer), 'nothing_to_undo');
  await callAdmin(sidecar, '/v1/policies/first/rollback', { send: {} });
  await whoDecides(sidecar, 'alice');
  assert.deepEqual(sidecar.events.at(-1)?.dynamic_metadata, { first: { policy: 0 } });
});

test('with keep_revisions 1 there is none to go back to', async (t) => {
  const sidecar = await startChanging(t, { policyConfig: { keepRevisions: 1 } });
  await reload(sidecar, numberedPolicy(1));
  assert.equal((await revisionsOf(sidecar)).length, 1);
  assert.equal(codeOf(await rollBack(sidecar)), 'nothing_to_undo');
});

test('no request fails while revisions go back and forth under load, and each event names the one that decided', async (t) => {
  const sidecar = await startChanging(t);
  for (const number of [1, 2]) await reload(sidecar, numberedPolicy(number));
  const kept = (await revisionsOf(sidecar)).map(([revision]) => revision);
  const asked: Promise<number>[] = [];
  const token = sidecar.token();
  let open = 0;
  const load = setInterval(() => {
    // On a slow machine no more at once than the sidecar takes.
    if (open === 50) return;
    open += 1;
    asked.push(ask(sidecar, token).finally(() => (open -= 1)));
  }, 5);
  for (let turn = 0; turn < 30; turn += 1) {
    await rollBack(sidecar, { revision: kept[turn % kept.length] });
    await sleep(20);
  }
  clearInterval(load);
  const answers = await Promise.all(asked);
  assert.ok(answers.length > 30, `${answers.length} requests`);
  assert.deepEqual([...new Set(answers)], [200]);
  const events = await sidecar.waitForEvents(answers.length);
  const pairs = new Set(events.map((event) => `${event.dynamic_metadata?.['policy']} ${event.revision}`));
  assert.deepEqual([...pairs].sort(), [`0 ${kept[2]}`, `1 ${kept[1]}`, `2 ${kept[0]}`]);
});

async function ask(sidecar: TestSidecar, token: string): Promise<number> {
  const answer = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: '{"model":"tiny","stream":false,"messages":[]}',
  });
  await answer.arrayBuffer();
  return answer.status;
}
