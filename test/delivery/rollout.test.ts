/** A new revision for a share of the callers first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { shareCallers } from '../../src/delivery/share-callers.ts';
import type { DecidingPolicy, Principal } from '../../src/types.ts';
import { callAdmin, codeOf } from '../support/admin.ts';
import { numberedPolicy, reload, startChanging, whoDecides } from '../support/changing-policy.ts';
import type { TestSidecar } from '../support/in-process.ts';

const rollOut = (sidecar: TestSidecar, percent: unknown) =>
  callAdmin(sidecar, '/v1/policies/policy/rollout', { send: { percent } });

const callers = Array.from({ length: 40 }, (_, index) => `caller-${index}`);

async function decideFor(sidecar: TestSidecar): Promise<readonly unknown[]> {
  const numbers: unknown[] = [];
  for (const caller of callers) numbers.push(await whoDecides(sidecar, caller));
  return numbers;
}

test('a new revision gets its share of the callers, each of whom keeps what he has as it grows', async (t) => {
  const sidecar = await startChanging(t, { policyConfig: { rollout: { percent: 30 } } });
  assert.deepEqual(new Set(await decideFor(sidecar)), new Set([0]), 'the first one decides for all');
  const { rollout, result } = await reload(sidecar, numberedPolicy(1));
  assert.equal(result, 'loaded');
  assert.ok(typeof rollout === 'object' && rollout !== null && 'percent' in rollout);
  assert.equal(rollout.percent, 30);

  const few = await decideFor(sidecar);
  const share = few.filter((number) => number === 1).length;
  assert.ok(share > 3 && share < 25, `${share} of 40`);
  assert.deepEqual(await decideFor(sidecar), few, 'the same callers again');
  const events = await sidecar.waitForEvents(3 * callers.length);
  const revisions = new Set(events.map((event) => `${event.revision} ${event.dynamic_metadata?.['policy']}`));
  assert.equal(revisions.size, 2, 'each event names the revision that decided');
  const metrics = await sidecar.metrics();
  assert.match(metrics, /^opallama_policy_rollout_percent\{policy="policy",revision="[0-9a-f]{12}"\} 30$/m);
  assert.equal(metrics.match(/^opallama_decisions_total\{/gm)?.length, 2);
  assert.match(
    await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text(),
    /^policy: revision [0-9a-f]{12} decides for 30 % of the callers$/m,
  );

  await rollOut(sidecar, 70);
  const more = await decideFor(sidecar);
  for (const [index, number] of few.entries()) if (number === 1) assert.equal(more[index], 1);
  assert.ok(more.filter((number) => number === 1).length > share);
  await rollOut(sidecar, 0);
  assert.deepEqual(new Set(await decideFor(sidecar)), new Set([0]));
  const { body } = await rollOut(sidecar, 100);
  assert.equal(body['rollout'], undefined);
  assert.deepEqual(new Set(await decideFor(sidecar)), new Set([1]));
  assert.doesNotMatch(await sidecar.metrics(), /^opallama_policy_rollout_percent\{/m);
  assert.equal(codeOf(await rollOut(sidecar, 10)), 'no_rollout');
});

test('a rollback ends a rollout, and what was tried out is not tried again by itself', async (t) => {
  const sidecar = await startChanging(t, { policyConfig: { rollout: { percent: 100 } } });
  await reload(sidecar, numberedPolicy(1));
  assert.equal(await whoDecides(sidecar, 'alice'), 1, 'a share of all is no rollout');
  const other = await startChanging(t, { policyConfig: { rollout: { percent: 99.99 } } });
  await reload(other, numberedPolicy(1));
  assert.equal(await whoDecides(other, 'alice'), 1);
  await callAdmin(other, '/v1/policies/policy/rollback', { send: {} });
  assert.equal(await whoDecides(other, 'alice'), 0);
  await other.app.reload();
  assert.equal(await whoDecides(other, 'alice'), 0);
  assert.equal(codeOf(await rollOut(other, 100)), 'no_rollout');
});

test('only a number from 0 to 100 is a share', async (t) => {
  const sidecar = await startChanging(t, { policyConfig: { rollout: { percent: 50 } } });
  await reload(sidecar, numberedPolicy(1));
  for (const percent of [-1, 101, '10', null, undefined, [10]])
    assert.equal(codeOf(await rollOut(sidecar, percent)), 'invalid_member', String(percent));
});

test('anonymous callers are told apart by where they call from', () => {
  const [former, latter] = [deciding(), deciding()];
  const choose = shareCallers([{ policy: 'policy', percent: 50 }], (candidates) =>
    candidates.size === 0 ? former : latter,
  );
  const addresses = Array.from({ length: 200 }, (_, index) => `10.0.0.${index}`);
  const chosen = addresses.map((ip) => choose(caller('anonymous', 'anonymous'), ip));
  const share = chosen.filter((each) => each === latter).length;
  assert.ok(share > 60 && share < 140, `${share} of 200`);
  // Whoever is known is the same one everywhere.
  assert.equal(new Set(addresses.map((ip) => choose(caller('alice', 'jwt'), ip))).size, 1);
});

test('of two policies that are rolled out each has its own callers', () => {
  const made: string[] = [];
  const choose = shareCallers(
    [
      { policy: 'first', percent: 50 },
      { policy: 'second', percent: 50 },
    ],
    (candidates) => {
      made.push([...candidates].join());
      return deciding();
    },
  );
  const chosen = Array.from({ length: 400 }, (_, index) => choose(caller(`caller-${index}`, 'jwt'), ''));
  assert.deepEqual(made.toSorted(), ['', 'first', 'first,second', 'second'], 'each is made once');
  assert.equal(new Set(chosen).size, 4);
});

function deciding(): DecidingPolicy {
  return {
    reads: { all: false, members: new Set() },
    codes: new Set(),
    readsContent: false,
    decide: () => Promise.reject(new Error('not asked here')),
  };
}

function caller(id: string, kind: Principal['kind']): Principal {
  return { id, kind, roles: [], agentRole: undefined, permissions: [], tenant: undefined, claims: {} };
}
