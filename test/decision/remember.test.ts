import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rememberResults } from '../../src/decision/remember.ts';
import { describeModel } from '../../src/input/ask/model.ts';
import { resolveModelName } from '../../src/input/model-name.ts';
import type { LoadedPolicy, PolicyInput } from '../../src/types.ts';
import { policyInput } from './input.ts';

/** A stand-in for a loaded policy that counts its evaluations and repeats the model. */
function createPolicy(over: Partial<LoadedPolicy> & { readonly members?: readonly string[]; readonly all?: boolean }) {
  let evaluations = 0;
  const policy: LoadedPolicy = {
    revision: 'r1',
    entrypoints: ['a', 'b'],
    reads: { all: over.all ?? false, members: new Set(over.members ?? ['model', 'principal']) },
    codes: new Set(),
    deterministic: true,
    shape: () => 'allow',
    evaluate(entrypoint: string, input: PolicyInput) {
      evaluations += 1;
      return [{ allow: true, entrypoint, model: input.model, nested: { list: [1] } }];
    },
    close: async () => undefined,
    ...over,
  };
  return { remembering: rememberResults(policy), policy, count: () => evaluations };
}

test('the same values are evaluated once, whatever the policy does not read', () => {
  const { remembering, count } = createPolicy({});
  const first = remembering.evaluate('a', policyInput({ model: 'x', request_id: '1', now_ns: 1 }));
  const second = remembering.evaluate('a', policyInput({ model: 'x', request_id: '2', now_ns: 2 }));
  assert.equal(first, second);
  assert.equal(count(), 1);
});

test('another value, an absent one, another entrypoint are evaluated anew', () => {
  const { remembering, count } = createPolicy({});
  const principal = policyInput({}).principal;
  remembering.evaluate('a', policyInput({ model: 'x' }));
  remembering.evaluate('a', policyInput({ model: 'y' }));
  const { model: _model, ...withoutModel } = policyInput({});
  remembering.evaluate('a', withoutModel);
  remembering.evaluate('b', policyInput({ model: 'x' }));
  remembering.evaluate('a', policyInput({ model: 'x', principal: { ...principal, roles: ['other'] } }));
  assert.equal(count(), 5);
});

test('a value that pretends to be two does not meet another', () => {
  const { remembering, count } = createPolicy({ members: ['model', 'agent_role'] });
  remembering.evaluate('a', policyInput({ model: 'x"\n"y', agent_role: 'z' }));
  remembering.evaluate('a', policyInput({ model: 'x', agent_role: 'y"\n"z' }));
  assert.equal(count(), 2);
});

test('a list that pretends to be another, or to be more members, does not meet it', () => {
  const { remembering, count } = createPolicy({ members: ['tools', 'model'] });
  const lists = [['x', 'y'], ['x\ns1:y'], ['x'], [], ['a1\ns1:x'], ['', ''], ['']];
  for (const tools of lists) remembering.evaluate('a', policyInput({ tools, model: 's1:y' }));
  remembering.evaluate('a', policyInput({ tools: ['x'], model: 'y' }));
  assert.equal(count(), lists.length + 1);
  for (const tools of lists) remembering.evaluate('a', policyInput({ tools: [...tools], model: 's1:y' }));
  assert.equal(count(), lists.length + 1);
});

test('each of several models counts', () => {
  const { remembering, count } = createPolicy({ members: ['model_refs'] });
  const [ref] = describeModel(resolveModelName('llama3.2')).models;
  const [other] = describeModel(resolveModelName('gpt-oss:20b-cloud')).models;
  assert.ok(ref !== undefined && other !== undefined);
  for (const refs of [[ref], [other], [ref, other], [other, ref]]) {
    remembering.evaluate('a', policyInput({ model_refs: refs }));
    remembering.evaluate('a', policyInput({ model_refs: refs.map((one) => ({ ...one })) }));
  }
  assert.equal(count(), 4);
});

test('nothing is remembered where results may differ', () => {
  for (const over of [
    { all: true },
    { deterministic: false },
    { members: ['now_ns'] },
    { members: ['messages'] },
    { members: ['request_id'] },
  ]) {
    const { remembering, policy } = createPolicy(over);
    assert.equal(remembering, policy, JSON.stringify(over));
  }
});

test('a failed evaluation is tried again', () => {
  let fail = true;
  const { remembering } = createPolicy({
    evaluate() {
      if (fail) throw new Error('broken');
      return [true];
    },
  });
  assert.throws(() => remembering.evaluate('a', policyInput({})), /broken/);
  fail = false;
  assert.deepEqual(remembering.evaluate('a', policyInput({})), [true]);
});

test('what is handed out again and again can not be changed', async () => {
  const { remembering } = createPolicy({});
  const [result] = await remembering.evaluate('a', policyInput({ model: 'x' }));
  assert.ok(Object.isFrozen(result));
  assert.throws(
    () => Reflect.apply(Array.prototype.push, Reflect.get(Object(Reflect.get(Object(result), 'nested')), 'list'), [2]),
    TypeError,
  );
});

test('the memory is bounded', () => {
  const { remembering, count } = createPolicy({});
  for (let model = 0; model < 1500; model += 1) remembering.evaluate('a', policyInput({ model: `m${model}` }));
  remembering.evaluate('a', policyInput({ model: 'm1499' }));
  assert.equal(count(), 1500);
  remembering.evaluate('a', policyInput({ model: 'm0' }));
  assert.equal(count(), 1501);
});
