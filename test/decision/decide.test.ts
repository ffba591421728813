/** Whatever an engine does, a decision comes out, and unless the engine said allow it denies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDecider, type DeciderOptions } from '../../src/decision/decide.ts';
import { EvaluationError } from '../../src/errors.ts';
import type { EntrypointShape, LoadedPolicy } from '../../src/types.ts';
import { modelRef, policyInput } from './input.ts';

/** A stand-in for an engine: answers what it is told, also what no engine should. */
function policyThat(evaluate: (...asked: unknown[]) => unknown, shape: EntrypointShape = 'allow'): LoadedPolicy {
  const policy: LoadedPolicy = {
    revision: 'r7',
    entrypoints: ['ollama/authz'],
    reads: { all: false, members: new Set() },
    codes: new Set(),
    deterministic: false,
    shape: () => shape,
    evaluate: () => [],
    close: async () => {},
  };
  return Object.assign(policy, { evaluate });
}

function decider(policy: LoadedPolicy | undefined, over: Partial<DeciderOptions> = {}) {
  const errors: unknown[] = [];
  const decide = createDecider({
    engine: 'stand-in',
    policy: () => policy,
    entrypoint: 'ollama/authz',
    mode: 'auto',
    denyListOperations: [],
    onError: (error) => errors.push(error),
    ...over,
  });
  return { decide, errors };
}

test('without a policy the decision is 503', async () => {
  const { decide, errors } = decider(undefined);
  const { allowed, result, httpStatus, reasons, decisionId } = await decide(policyInput());
  assert.deepEqual(
    [allowed, result, httpStatus, reasons[0]?.code, decisionId],
    [false, 'error', 503, 'policy_unavailable', 'd-1'],
  );
  assert.deepEqual(errors, []);
});

const thrown: readonly unknown[] = [new Error('boom'), 'text', { message: 'an object' }, null, undefined, 7];
for (const value of thrown) {
  test(`an engine that throws ${JSON.stringify(value) ?? 'undefined'} ends in a decision of 500, and the log is told`, async () => {
    const throwing = () => {
      throw value;
    };
    for (const evaluate of [throwing, async () => throwing(), () => Promise.reject(value)]) {
      const { decide, errors } = decider(policyThat(evaluate));
      const { allowed, result, httpStatus, reasons, revision } = await decide(policyInput());
      assert.deepEqual(
        [allowed, result, httpStatus, reasons.map(({ code }) => code), revision],
        [false, 'error', 500, ['policy_error'], 'r7'],
      );
      assert.doesNotMatch(JSON.stringify(reasons), /boom|text|an object/);
      assert.deepEqual(errors, [value]);
    }
  });
}

for (const code of ['policy_deadline', 'policy_memory', 'engine_unavailable'] as const) {
  test(`an engine that fails with ${code} ends in a decision of 503 with that code`, async () => {
    const error = new EvaluationError(code, 'what the log is told');
    const { decide, errors } = decider(policyThat(() => Promise.reject(error)));
    const { allowed, result, httpStatus, reasons } = await decide(policyInput());
    assert.deepEqual([allowed, result, httpStatus, reasons[0]?.code], [false, 'error', 503, code]);
    assert.doesNotMatch(JSON.stringify(reasons), /what the log is told/);
    assert.deepEqual(errors, [error]);
  });
}

const noResults: ReadonlyArray<readonly [title: string, value: unknown]> = [
  ['nothing', undefined],
  ['null', null],
  ['true instead of a list of results', true],
  ['an object instead of a list of results', { allow: true }],
  ['a text', 'x'],
  ['something that only looks like a list', { length: 1, 0: true }],
];
for (const [title, value] of noResults) {
  test(`an engine that returns ${title} ends in a decision of 500`, async () => {
    for (const evaluate of [() => value, async () => value]) {
      const { decide, errors } = decider(policyThat(evaluate));
      const { allowed, httpStatus, reasons } = await decide(policyInput());
      assert.deepEqual([allowed, httpStatus, reasons[0]?.code], [false, 500, 'policy_error']);
      assert.equal(errors.length, 1);
    }
  });
}

test('an undefined decision and two decisions deny with 403', async () => {
  for (const [results, code] of [
    [[], 'policy_undefined'],
    [[true, true], 'policy_ambiguous'],
    [[undefined], 'policy_malformed'],
  ] as const) {
    const { allowed, result, httpStatus, reasons } = await decider(policyThat(() => results)).decide(policyInput());
    assert.deepEqual([allowed, result, httpStatus, reasons[0]?.code], [false, 'deny', 403, code]);
  }
});

test('an allow names its engine, its revision and its decision', async () => {
  const asked: unknown[] = [];
  const input = policyInput();
  const policy = policyThat((...args) => {
    asked.push(...args);
    return [{ allow: true }];
  });
  const { allowed, result, engine, revision, decisionId } = await decider(policy).decide(input);
  assert.deepEqual([allowed, result, engine, revision, decisionId], [true, 'allow', 'stand-in', 'r7', 'd-1']);
  assert.deepEqual(asked, ['ollama/authz', input]);
});

test('the time of the evaluation is measured, also where it fails', async () => {
  const slow = async () => sleep(20).then(() => [true]);
  const failing = async () => sleep(20).then(() => Promise.reject(new Error('late')));
  for (const evaluate of [slow, failing]) {
    const { durationNs } = await decider(policyThat(evaluate)).decide(policyInput());
    assert.ok(durationNs > 10e6 && durationNs < 20e9, `${durationNs} ns`);
  }
});

test('the policy that decides is the one that is loaded now', async () => {
  let policy: LoadedPolicy | undefined = policyThat(() => [true]);
  const { decide } = decider(undefined, { policy: () => policy });
  assert.equal((await decide(policyInput())).allowed, true);
  policy = policyThat(() => [false]);
  assert.equal((await decide(policyInput())).allowed, false);
  policy = undefined;
  assert.equal((await decide(policyInput())).httpStatus, 503);
});

const silent = () => [{}];
const cloud = { model_refs: [modelRef('local'), modelRef('cloud')] };

test('a deny-list allows no cloud model unless it is named', async () => {
  const policy = policyThat(silent, 'deny_list');
  const input = policyInput(cloud);
  assert.equal((await decider(policy).decide(policyInput({ model_refs: [modelRef('local')] }))).allowed, true);
  const denied = await decider(policy).decide(input);
  assert.deepEqual([denied.allowed, denied.reasons[0]?.code], [false, 'deny_list_operation']);
  assert.equal((await decider(policy, { denyListOperations: ['models.pull'] }).decide(input)).allowed, false);
  assert.equal((await decider(policy, { denyListOperations: ['cloud'] }).decide(input)).allowed, true);
});

test('a deny-list allows no operation that it does not know', async () => {
  // Operations of later versions: what is not known to be harmless is not.
  const input = { ...policyInput(), operation: 'models.delete' };
  const policy = policyThat(silent, 'deny_list');
  const ask = (names: readonly string[]) =>
    Reflect.apply(decider(policy, { denyListOperations: names }).decide, undefined, [input]);
  assert.equal((await ask([])).allowed, false);
  assert.equal((await ask(['models.pull', 'cloud'])).allowed, false);
  assert.equal((await ask(['models.delete'])).allowed, true);
});

test('a deny-list does not allow an input that says no operation', async () => {
  const { operation: _, ...input } = policyInput();
  const decision = await Reflect.apply(decider(policyThat(silent, 'deny_list')).decide, undefined, [input]);
  assert.deepEqual([decision.allowed, decision.reasons[0]?.code], [false, 'deny_list_operation']);
});

test('an allow rule is not bound by what a deny-list may do', async () => {
  assert.equal((await decider(policyThat(() => [{ allow: true }])).decide(policyInput(cloud))).allowed, true);
});

test('mode deny_list is believed where the shape can not be seen, and only there', async () => {
  const mode = { mode: 'deny_list' } as const;
  assert.equal((await decider(policyThat(silent, 'unknown'), mode).decide(policyInput())).allowed, true);
  assert.equal((await decider(policyThat(silent, 'unknown')).decide(policyInput())).allowed, false);
  assert.equal((await decider(policyThat(silent, 'allow'), mode).decide(policyInput())).allowed, false);
  assert.equal((await decider(policyThat(silent, 'rule'), mode).decide(policyInput())).allowed, false);
  assert.equal((await decider(policyThat(silent, 'unknown'), mode).decide(policyInput(cloud))).allowed, false);
});
