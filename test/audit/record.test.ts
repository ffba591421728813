/** One event a request, when it ends, however it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { PolicyInput, Principal } from '../../src/types.ts';
import { policyInput } from '../decision/input.ts';
import { undisturbed } from '../support/at-best.ts';
import { createKeepingRecorder, decisionOf, judge } from './recording.ts';

const start = { requestId: 'r-1', api: 'gateway', method: 'POST' } as const;
const route = { api: 'ollama', operation: 'chat', path: '/api/chat' } as const;
const alice: Principal = {
  id: 'alice',
  kind: 'jwt',
  roles: ['developer'],
  agentRole: 'developer',
  permissions: [],
  tenant: 'acme',
  claims: {},
};

test('a request that goes all the way is told in full', () => {
  const { begin, events } = createKeepingRecorder();
  const record = begin(start);
  record.identified(alice);
  record.routed(route);
  record.received();
  const input = policyInput({
    agent_role: 'developer',
    stream: true,
    has_tools: false,
    has_system_prompt: true,
    message_count: 3,
  });
  record.asked(input);
  record.decided(decisionOf({ reasons: [{ code: 'seen', message: 'text' }], dynamicMetadata: { team: 'a' } }), judge);
  record.forwarded('http://127.0.0.1:11434', ['include_usage']);
  record.firstByte();
  record.finish({ outcome: 'complete', status: 200, usage: { inputTokens: 5, outputTokens: 7 }, finishReason: 'stop' });

  const [{ duration_ms, time_to_first_token_ms, input: recorded, ...event } = assert.fail('no event')] = events;
  assert.ok(duration_ms >= 0 && (time_to_first_token_ms ?? -1) >= 0);
  assert.equal(recorded?.['model'], 'llama3.2');
  assert.deepEqual(event, {
    time: '2026-06-11T12:00:00.000Z',
    request_id: 'r-1',
    decision_id: 'd-1',
    principal: 'alice',
    agent_role: 'developer',
    tenant: 'acme',
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    path: '/api/chat',
    model: 'llama3.2',
    target: 'http://127.0.0.1:11434',
    has_system_prompt: true,
    has_tools: false,
    message_count: 3,
    stream: true,
    policy_result: 'allow',
    reasons: ['seen'],
    engine: 'wasm',
    revision: 'r7',
    changes: ['include_usage'],
    status: 200,
    usage: 'known',
    input_tokens: 5,
    output_tokens: 7,
    finish_reason: 'stop',
    outcome: 'complete',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'POST',
    provider: 'ollama',
    dynamic_metadata: { team: 'a' },
  });
});

test('the decision reads the same whether it is made before its request has ended or out of what was told of that', () => {
  const principals: (Principal | undefined)[] = [
    undefined,
    alice,
    { ...alice, id: 'x","method":"GET', tenant: undefined },
    { ...alice, id: 'älïçe \u2028 \u009b \ud83d\ude00' },
  ];
  for (const principal of principals)
    for (const changes of [[], ['include_usage', 'options.num_predict']])
      for (const reasons of [[], [{ code: 'declared_code', message: '' }]]) {
        const made: [first: string[], told: string[]] = [[], []];
        for (const late of [0, 1] as const) {
          const decisions: (() => string)[] = [];
          const { begin } = createKeepingRecorder({
            record: () => {},
            admit(decision) {
              decisions.push(decision);
              return undefined;
            },
          });
          const record = begin({ ...start, traceId: reasons.length > 0 ? 'trace' : undefined });
          record.certified('robot');
          if (principal !== undefined) record.identified(principal);
          record.routed(route);
          record.asked(policyInput({ agent_role: principal?.agentRole ?? 'none', model: 'tiny","method":{}' }));
          record.decided(decisionOf({ reasons }), judge);
          void record.forwards('http://127.0.0.1:11434', changes);
          record.forwarded('http://127.0.0.1:11434', changes);
          if (late === 0) made[0].push(...decisions.map((make) => make()));
          record.finish({ outcome: 'complete', status: 200 });
          if (late === 1) made[1].push(...decisions.map((make) => make()));
        }
        assert.equal(made[0].length, 1);
        assert.deepEqual(made[1], made[0]);
        assert.equal(JSON.parse(made[1][0] ?? '').target, 'http://127.0.0.1:11434');
      }
});

test('a decision says where a request was to go that was not handed on after all', () => {
  const decisions: (() => string)[] = [];
  const { begin, events } = createKeepingRecorder({
    record: () => {},
    admit(decision) {
      decisions.push(decision);
      return undefined;
    },
  });
  const record = begin(start);
  record.routed(route);
  record.asked(policyInput({}));
  record.decided(decisionOf(), judge);
  void record.forwards('http://127.0.0.1:11434', ['include_usage']);
  record.finish({ outcome: 'error', status: 503, error: 'audit_unavailable' });
  assert.equal(events[0]?.target, undefined);
  const { target, changes } = JSON.parse(decisions[0]?.() ?? '');
  assert.deepEqual([target, changes], ['http://127.0.0.1:11434', ['include_usage']]);
});

test('an input that is trimmed is told of as any other, and held no longer', async () => {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  assert.ok(typeof collect === 'function');
  const { begin, events } = createKeepingRecorder();
  const asked = (): PolicyInput =>
    policyInput({ message_count: 1, stream: true, messages: [{ role: 'user', content: 'long' }] });
  const [trimmed, untrimmed] = [begin(start), begin(start)];
  const held = ((): WeakRef<PolicyInput> => {
    const input = asked();
    trimmed.asked(input);
    return new WeakRef(input);
  })();
  untrimmed.asked(asked());
  for (const record of [trimmed, untrimmed]) record.decided(decisionOf(), { ...judge, readsContent: true });
  trimmed.trim();
  // What a WeakRef was made of lives to the end of the turn.
  await sleep(5);
  collect();
  assert.equal(held.deref(), undefined);
  for (const record of [trimmed, untrimmed]) record.finish({ outcome: 'complete', status: 200 });
  const [one, other] = events.map(({ duration_ms, ...event }) => event);
  assert.deepEqual(one, other);
  assert.deepEqual(one?.input?.['erased'], ['messages']);
});

test('a request that ends at once has an event that says only what is known', () => {
  const { begin, events } = createKeepingRecorder();
  begin(start).finish({ outcome: 'denied', status: 401, error: 'missing_credentials' });
  const [{ duration_ms: _, ...event } = assert.fail('no event')] = events;
  assert.deepEqual(event, {
    time: '2026-06-11T12:00:00.000Z',
    request_id: 'r-1',
    api: 'gateway',
    method: 'POST',
    policy_result: 'none',
    reasons: [],
    status: 401,
    error: 'missing_credentials',
    usage: 'none',
    outcome: 'denied',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'POST',
    provider: 'ollama',
  });
});

test('the first end is the end: no later one makes a second event', () => {
  const { begin, events } = createKeepingRecorder();
  const record = begin(start);
  record.finish({ outcome: 'aborted', status: 499 });
  record.finish({ outcome: 'complete', status: 200 });
  record.routed(route);
  record.firstByte();
  record.finish({ outcome: 'error', status: 500 });
  assert.deepEqual(
    events.map(({ outcome }) => outcome),
    ['aborted'],
  );
});

test('records of requests that overlap do not mix', () => {
  const { begin, events } = createKeepingRecorder();
  const first = begin({ ...start, requestId: 'a' });
  const second = begin({ ...start, requestId: 'b' });
  first.identified(alice);
  second.decided(decisionOf({ result: 'deny', allowed: false }), judge);
  second.finish({ outcome: 'denied', status: 403 });
  first.finish({ outcome: 'error', status: 500 });
  assert.deepEqual(
    events.map(({ request_id, principal, policy_result }) => [request_id, principal, policy_result]),
    [
      ['b', undefined, 'deny'],
      ['a', 'alice', 'none'],
    ],
  );
});

test('a reason is a label if it is a declared code or one of ours; any other is policy_denied', () => {
  const { begin, measures } = createKeepingRecorder();
  for (const code of ['declared_code', 'policy_undefined', 'made_up', 'toString', '__proto__', 'constructor']) {
    const record = begin(start);
    const reasons = [code, 'declared_code'].map((one) => ({ code: one, message: '' }));
    record.decided(decisionOf({ result: 'deny', allowed: false, reasons }), judge);
    record.finish({ outcome: 'denied', status: 403 });
  }
  begin(start).finish({ outcome: 'complete', status: 200 });
  assert.deepEqual(
    measures.map(({ reasonLabel }) => reasonLabel),
    ['declared_code', 'policy_undefined', 'policy_denied', 'policy_denied', 'policy_denied', 'policy_denied', ''],
  );
});

test('tokens are known, unknown, or none were to be expected', () => {
  const { begin, events } = createKeepingRecorder();
  const exits = ['unknown', undefined, { inputTokens: 0, outputTokens: undefined }] as const;
  for (const usage of exits) begin(start).finish({ outcome: 'complete', status: 200, usage });
  assert.deepEqual(
    events.map((event) => [event.usage, event.input_tokens, 'output_tokens' in event]),
    [
      ['unknown', undefined, false],
      ['none', undefined, false],
      ['known', 0, false],
    ],
  );
});

test('times are taken where they happen, and the wait for the body is not the sidecar', () =>
  undisturbed(10, takeTimes));

async function takeTimes(): Promise<void> {
  const { begin, events, measures } = createKeepingRecorder();
  const record = begin(start);
  record.routed(route);
  await sleep(60);
  record.received();
  record.decided(decisionOf(), judge);
  record.forwarded('x', []);
  await sleep(40);
  record.firstByte();
  await sleep(30);
  record.firstByte();
  record.finish({ outcome: 'complete', status: 200 });
  const [measured = assert.fail()] = measures;
  const within = (value: number | undefined, least: number, most: number): void =>
    assert.ok(value !== undefined && value >= least && value <= most, `${value} is not from ${least} to ${most}`);
  within(measured.overheadS, 0, 0.03);
  within(measured.firstByteS, 0.095, 0.5);
  within(measured.durationS, 0.125, 1);
  assert.equal(measured.decisionS, 12e-6);
  assert.equal(events[0]?.duration_ms, Math.round(measured.durationS * 1e6) / 1e3);
  assert.ok((events[0]?.time_to_first_token_ms ?? 0) < (events[0]?.duration_ms ?? 0) - 25);
  assert.equal('changes' in (events[0] ?? {}), false);
}

test('a request that was never forwarded has no times that it did not see', () => {
  const { begin, measures } = createKeepingRecorder();
  begin(start).finish({ outcome: 'denied', status: 404 });
  const [{ durationS, ...rest } = assert.fail()] = measures;
  assert.ok(durationS >= 0);
  assert.deepEqual(rest, {
    firstByteS: undefined,
    decisionS: undefined,
    overheadS: undefined,
    reasonLabel: '',
    traceSampled: undefined,
  });
});
