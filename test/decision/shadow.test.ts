/** The bounds of a shadow: what waits, what runs, what is held. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { createShadow, type Decided } from '../../src/decision/shadow.ts';
import { RequestError } from '../../src/errors.ts';
import type { DecidingPolicy, InputNeeds, ShadowEvent, ShadowResult } from '../../src/types.ts';
import { decisionOf } from '../audit/recording.ts';
import { policyInput } from './input.ts';

const chatInput = policyInput();

const decision = decisionOf();
const reads = (...members: readonly string[]): InputNeeds => ({ all: false, members: new Set(members) });
const policyThat = (decide: DecidingPolicy['decide'], needs = reads('model')): DecidingPolicy => ({
  reads: needs,
  codes: new Set(),
  readsContent: needs.members.has('messages'),
  decide,
});
const agreeing = policyThat(async () => decision);
const decided = (over: Partial<Decided> = {}): Decided => ({
  input: chatInput,
  decision,
  policy: agreeing,
  bytes: 1024,
  build: () => chatInput,
  ...over,
});

function watch(policy: () => DecidingPolicy | undefined, sample = 1) {
  const counts: Partial<Record<ShadowResult, number>> = {};
  const events: ShadowEvent[] = [];
  const errors: unknown[] = [];
  const shadow = createShadow({
    name: 'next',
    sample,
    policy,
    selective: ['messages', 'agent_role'],
    recordCodes: ({ reasons }) => reasons.map(({ code }) => code),
    withoutContent: ({ model }) => ({ model }),
    onResult(result) {
      counts[result] = (counts[result] ?? 0) + 1;
    },
    onDisagreement: (event) => events.push(event),
    onError: (error) => errors.push(error),
  });
  return { shadow, counts, events, errors };
}

async function turns(count: number): Promise<void> {
  for (let turned = 0; turned < count; turned += 1) await turn();
}

test('nothing is evaluated before observe has returned', async () => {
  let asked = 0;
  const policy = policyThat(async () => {
    asked += 1;
    return decision;
  });
  const { shadow, counts } = watch(() => policy);
  shadow.observe(decided());
  await Promise.resolve();
  assert.equal(asked, 0);
  await turns(3);
  assert.equal(asked, 1);
  assert.deepEqual(counts, { agree: 1 });
});

test('a shadow that does not answer is asked 16 things at a time, 256 wait, and the rest is dropped', async () => {
  let asked = 0;
  const stuck = policyThat(() => {
    asked += 1;
    return new Promise(() => {});
  });
  const { shadow, counts } = watch(() => stuck);
  for (let round = 0; round < 16; round += 1) {
    shadow.observe(decided());
    await turns(2);
  }
  for (let more = 0; more < 300; more += 1) shadow.observe(decided());
  await turns(5);
  assert.equal(asked, 16);
  assert.deepEqual(counts, { dropped: 300 - 256 });
  shadow.close();
  assert.deepEqual(counts, { dropped: 300 });
  shadow.observe(decided());
  assert.deepEqual(counts, { dropped: 300 });
});

test('bodies whose text a shadow reads are held up to a bound; those that it does not read are not held', async () => {
  const half = 16 * 1024 * 1024;
  const reader = policyThat(async () => decision, reads('messages'));
  const { shadow, counts } = watch(() => reader);
  for (let body = 0; body < 3; body += 1) shadow.observe(decided({ bytes: half }));
  assert.deepEqual(counts, { dropped: 1 });
  await turns(5);
  shadow.observe(decided({ bytes: half }));
  await turns(3);
  assert.deepEqual(counts, { dropped: 1, agree: 3 });
  const blind = watch(() => agreeing);
  for (let body = 0; body < 20; body += 1) blind.shadow.observe(decided({ bytes: half }));
  assert.deepEqual(blind.counts, {});
  blind.shadow.close();
});

test('the input is built anew only where the shadow reads what the deciding policy does not', async () => {
  const built: InputNeeds[] = [];
  const build = (needs: InputNeeds) => {
    built.push(needs);
    return chatInput;
  };
  const reader = policyThat(async () => decision, reads('model', 'messages'));
  const { shadow } = watch(() => reader);
  shadow.observe(decided({ build }));
  await turns(3);
  assert.deepEqual(built, [reader.reads]);
  shadow.observe(decided({ build, policy: reader }));
  shadow.observe(decided({ build, policy: { ...agreeing, reads: { all: true, members: new Set() } } }));
  await turns(3);
  assert.equal(built.length, 1);
});

test('what the sidecar would refuse is a denial, whatever else goes wrong is an error, and neither escapes', async () => {
  const reader = policyThat(async () => decision, reads('messages'));
  const { shadow, counts, events, errors } = watch(() => reader);
  shadow.observe(
    decided({
      build: () => {
        throw new RequestError('ambiguous_agent_role');
      },
    }),
  );
  shadow.observe(
    decided({
      build: () => {
        throw new TypeError('a slip');
      },
    }),
  );
  await turns(4);
  assert.deepEqual(counts, { newly_denied: 1, error: 1 });
  assert.deepEqual(events[0]?.shadow_reasons, ['ambiguous_agent_role']);
  assert.match(String(errors[0]), /a slip/);
});

test('a shadow that is replaced, or not loaded, is not asked', async () => {
  const current: { policy: DecidingPolicy | undefined } = { policy: agreeing };
  const { shadow, counts } = watch(() => current.policy);
  shadow.observe(decided());
  current.policy = policyThat(async () => decision);
  await turns(3);
  assert.deepEqual(counts, { dropped: 1 });
  current.policy = undefined;
  shadow.observe(decided());
  assert.deepEqual(counts, { dropped: 2 });
});
