/** Several decisions as one: nothing is allowed that one of them denies, nothing is lost that one of them asks for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAllOf } from '../../src/decision/all-of.ts';
import { compose } from '../../src/decision/compose.ts';
import type { Decision } from '../../src/types.ts';
import { decisionOf } from '../audit/recording.ts';
import { policyInput } from './input.ts';

/** The policies are called a, b, c ... in the order of the configuration. */
function composeAll(...decisions: ReadonlyArray<Partial<Decision>>) {
  return compose(decisions.map((over, i) => ({ name: 'abcdef'.charAt(i), decision: decisionOf(over) })));
}

const reason = (code: string) => ({ code, message: code });
const denial = (code: string, over: Partial<Decision> = {}): Partial<Decision> => ({
  allowed: false,
  result: 'deny',
  httpStatus: 403,
  reasons: [reason(code)],
  ...over,
});
const failure: Partial<Decision> = denial('engine_unavailable', { result: 'error', httpStatus: 503 });

test('all that allow allow', () => {
  const { allowed, result, httpStatus, reasons } = composeAll({}, {}, {});
  assert.deepEqual([allowed, result, httpStatus, reasons], [true, 'allow', 200, []]);
});

test('one that denies among others that allow denies, wherever it stands', () => {
  for (let at = 0; at < 3; at += 1) {
    const { allowed, result } = composeAll(...[0, 1, 2].map((i) => (i === at ? denial('no') : {})));
    assert.deepEqual([allowed, result], [false, 'deny']);
  }
});

test('one that fails denies with its own code', () => {
  const { allowed, result, httpStatus, reasons } = composeAll({}, failure, {});
  assert.deepEqual([allowed, result, httpStatus, reasons], [false, 'error', 503, [reason('engine_unavailable')]]);
});

test('the first that does not allow gives status, body and headers; the reasons are those of all that do not', () => {
  const first = denial('one', { httpStatus: 404, body: { not: 'here' }, headers: { 'x-a': '1' } });
  const second = denial('two', { httpStatus: 451, body: 'law', headers: { 'x-b': '2' } });
  const composed = composeAll(
    { headers: { 'x-upstream': 'secret' }, reasons: [reason('fine')] },
    first,
    second,
    failure,
  );
  assert.deepEqual(
    [composed.result, composed.httpStatus, composed.body, composed.headers],
    ['deny', 404, { not: 'here' }, { 'x-a': '1' }],
  );
  assert.deepEqual(composed.reasons, ['one', 'two', 'engine_unavailable'].map(reason));
  assert.equal(composeAll(failure, first).result, 'error');
});

test('an upstream header of an allow never goes to the client with the denial of another policy', () => {
  const { headers } = composeAll({ headers: { 'x-tenant-key': 'k' } }, denial('no'));
  assert.deepEqual(headers, {});
});

test('headers of allows unite, the same twice is one', () => {
  const composed = composeAll(
    { headers: { 'x-a': '1' }, responseHeadersToAdd: { 'x-r': '1' }, requestHeadersToRemove: ['user-agent'] },
    { headers: { 'x-a': '1', 'x-b': '2' }, requestHeadersToRemove: ['user-agent', 'accept'] },
  );
  assert.equal(composed.allowed, true);
  assert.deepEqual(composed.headers, { 'x-a': '1', 'x-b': '2' });
  assert.deepEqual(composed.responseHeadersToAdd, { 'x-r': '1' });
  assert.deepEqual(composed.requestHeadersToRemove, ['user-agent', 'accept']);
});

const conflicts: ReadonlyArray<readonly [title: string, one: Partial<Decision>, two: Partial<Decision>]> = [
  ['a request header', { headers: { 'x-a': '1' } }, { headers: { 'x-a': '2' } }],
  ['a response header', { responseHeadersToAdd: { 'x-a': '1' } }, { responseHeadersToAdd: { 'x-a': '' } }],
  ['a header that one sets and the other removes', { headers: { 'x-a': '1' } }, { requestHeadersToRemove: ['x-a'] }],
  ['a model', { obligations: { model: 'tiny' } }, { obligations: { model: 'other' } }],
  ['timeouts', { obligations: { timeouts: { idle: '1s' } } }, { obligations: { timeouts: { idle: '2s' } } }],
  [
    'routes without a common target',
    { obligations: { route: { targets: ['a'] } } },
    { obligations: { route: { targets: ['b'] } } },
  ],
  [
    'routes with two strategies',
    { obligations: { route: { targets: ['a'], strategy: 'first' } } },
    { obligations: { route: { targets: ['a'], strategy: 'random' } } },
  ],
  ['limits that are no list', { obligations: { limits: [] } }, { obligations: { limits: { key: 'a' } } }],
  ['an obligation that nobody knows', { obligations: { later: 1 } }, { obligations: { later: '1' } }],
];
for (const [title, one, two] of conflicts) {
  test(`${title}: policies that contradict each other deny, in either order, with a third between`, () => {
    for (const order of [
      [one, two],
      [two, one],
      [one, {}, two],
    ]) {
      const { allowed, result, httpStatus, reasons, headers, obligations } = composeAll(...order);
      assert.deepEqual([allowed, result, httpStatus, reasons[0]?.code], [false, 'deny', 403, 'policy_conflict']);
      assert.deepEqual([headers, obligations], [{}, {}]);
    }
  });
}

test('limits and redactions unite, the same one is carried out once', () => {
  const limit = (tokens: number) => ({ key: 'team', tokens, per: 'hour' });
  const { obligations } = composeAll(
    { obligations: { limits: [limit(10)], redact_request: [{ name: 'email' }] } },
    { obligations: { limits: [limit(20), limit(10)], redact_response: [{ name: 'iban' }] } },
    { obligations: { redact_request: [{ name: 'phone' }] } },
  );
  assert.deepEqual(obligations, {
    limits: [limit(10), limit(20)],
    redact_request: [{ name: 'email' }, { name: 'phone' }],
    redact_response: [{ name: 'iban' }],
  });
});

test('routes intersect in the order of the first, and what only one says of them holds', () => {
  const { allowed, obligations } = composeAll(
    { obligations: { route: { targets: ['c', 'a', 'b'] } } },
    { obligations: { route: { targets: ['a', 'b', 'c', 'd'], strategy: 'first' } } },
    { obligations: { route: { targets: ['b', 'c'], on_failure: 'stop' } } },
  );
  assert.equal(allowed, true);
  assert.deepEqual(obligations, { route: { targets: ['c', 'b'], strategy: 'first', on_failure: 'stop' } });
});

test('what two ask for in the same words is no contradiction', () => {
  const same = { obligations: { model: 'tiny', set: { keep_alive: '5m' } } };
  const { allowed, obligations } = composeAll(same, structuredClone(same));
  assert.deepEqual([allowed, obligations], [true, same.obligations]);
});

test('metadata stands below the name of its policy, of those that deny as of those that allow', () => {
  const a = { dynamicMetadata: { team: 'blue' } };
  const c = { dynamicMetadata: { team: 'red' } };
  assert.deepEqual(composeAll(a, {}, c).dynamicMetadata, { a: { team: 'blue' }, c: { team: 'red' } });
  assert.deepEqual(composeAll(a, denial('no', c)).dynamicMetadata, { a: { team: 'blue' }, b: { team: 'red' } });
  assert.equal(composeAll({}, {}).dynamicMetadata, undefined);
});

test('engines and revisions of all are named in their order', () => {
  const { engine, revision } = composeAll(
    { engine: 'wasm', revision: 'r1' },
    denial('no', { engine: 'cedar', revision: 'r2' }),
  );
  assert.deepEqual([engine, revision], ['wasm,cedar', 'r1,r2']);
});

test('every policy is asked, at the same time, about the same input', async () => {
  const asked: string[] = [];
  let all: () => void = () => undefined;
  const everyoneAsked = new Promise<void>((resolve) => {
    all = resolve;
  });
  const decide = createAllOf(
    ['a', 'b', 'c'].map((name) => ({
      name,
      decide: async (input) => {
        asked.push(`${name} ${input.decision_id}`);
        if (asked.length === 3) all();
        await everyoneAsked;
        return decisionOf(name === 'a' ? denial('no') : {});
      },
    })),
  );
  const { allowed, decisionId } = await decide(policyInput({ decision_id: 'd-9' }));
  assert.deepEqual([allowed, decisionId], [false, 'd-9']);
  assert.deepEqual(asked, ['a d-9', 'b d-9', 'c d-9']);
});
