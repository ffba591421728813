/** What `data.system.log` of a policy says of its events, and what becomes of those that it can't be asked about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { DecisionEvent } from '../../src/management/decision-event.ts';
import { applyRules } from '../../src/management/mask.ts';

const event = (input: unknown = { principal: { id: 'bob', roles: ['a', 'b'] }, model: 'tiny' }): DecisionEvent => ({
  labels: {},
  decision_id: '1',
  bundles: {},
  path: 'ollama/authz',
  input,
  result: { allowed: false, reasons: ['x'] },
  erased: ['/input/messages'],
  timestamp: '2026-01-01T00:00:00.000Z',
  req_id: 1,
  custom: {},
});

const masking = (...rules: unknown[]) => [{ drop: undefined, mask: async () => [rules] }];
const masked = (...rules: unknown[]) => applyRules(event(), masking(...rules));

test('a path is removed, and named among what was erased', async () => {
  const result = await masked('/input/principal/id', '/input/principal/roles/0', '/result/reasons');
  assert.deepEqual(result?.input, { principal: { roles: ['b'] }, model: 'tiny' });
  assert.deepEqual(result?.result, { allowed: false });
  const erased = ['/input/messages', '/input/principal/id', '/input/principal/roles/0', '/result/reasons'];
  assert.deepEqual(result?.erased, erased);
  assert.equal(result?.masked, undefined);
});

test('a value is set in the place of another one, and named among what was masked', async () => {
  const result = await masked(
    { op: 'upsert', path: '/input/principal/id', value: '***' },
    { op: 'upsert', path: '/input/new/deep', value: 1 },
    { op: 'upsert', path: '/input/principal/roles/1', value: 'z' },
  );
  assert.deepEqual(result?.input, { principal: { id: '***', roles: ['a', 'z'] }, model: 'tiny', new: { deep: 1 } });
  assert.deepEqual(result?.masked, ['/input/principal/id', '/input/new/deep', '/input/principal/roles/1']);
});

test('all of the input and of the result can be removed or replaced', async () => {
  const result = await masked('/input', { op: 'upsert', path: '/result', value: { hidden: true } });
  assert.equal(result?.input, undefined);
  assert.deepEqual(result?.result, { hidden: true });
});

test('what is not there is not named', async () => {
  const result = await masked('/input/nothing/here', '/input/model/deeper', '/nd_builtin_cache/x', {
    op: 'upsert',
    path: '/input/model/deeper',
    value: 1,
  });
  assert.deepEqual(result?.input, event().input);
  assert.deepEqual(result?.erased, ['/input/messages']);
  assert.equal(result?.masked, undefined);
});

test('a name is found as it stands and as a URL would escape it', async () => {
  const input = JSON.parse('{"a b":1,"c%20d":2,"__proto__":{"x":3}}');
  const result = await applyRules(event(input), masking('/input/a%20b', '/input/c%20d', '/input/__proto__/x'));
  assert.equal(JSON.stringify(result?.input), '{"__proto__":{}}');
});

test('the recorded event is not touched: others hold it too', async () => {
  const recorded = event();
  await applyRules(recorded, masking('/input/principal', { op: 'upsert', path: '/result/allowed', value: true }));
  assert.deepEqual(recorded, event());
});

const malformed: readonly unknown[] = [
  'input/model',
  '',
  '/labels/id',
  7,
  null,
  { path: '/input/model' },
  { op: 'replace', path: '/input/model' },
  { op: 'remove' },
  { op: 'upsert', path: 7 },
];
for (const rule of malformed) {
  test(`a rule that is not understood throws: ${JSON.stringify(rule)}`, async () => {
    await assert.rejects(masked(rule), TypeError);
  });
}

test('a mask that is no set of rules, or several, throws', async () => {
  for (const results of [[{}], ['/input'], [true], [[], []]])
    await assert.rejects(applyRules(event(), [{ drop: undefined, mask: async () => results }]), TypeError);
});

test('a mask that is undefined or empty masks nothing', async () => {
  for (const results of [[], [[]]])
    assert.deepEqual(await applyRules(event(), [{ drop: undefined, mask: async () => results }]), event());
});

test('only true drops an event, and the first policy that says so is enough', async () => {
  const dropping = (value: unknown) => ({ drop: async () => [value], mask: undefined });
  assert.equal(await applyRules(event(), [dropping(false), dropping(true)]), undefined);
  for (const value of [false, 'true', 1, {}, null]) assert.ok(await applyRules(event(), [dropping(value)]));
});

test('rules that fail throw', async () => {
  const fail = async () => {
    throw new Error('broken');
  };
  await assert.rejects(applyRules(event(), [{ drop: fail, mask: undefined }]), /broken/);
  await assert.rejects(applyRules(event(), [{ drop: undefined, mask: fail }]), /broken/);
});
