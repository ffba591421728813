import assert from 'node:assert/strict';
import { test } from 'node:test';

import { outlastEvaluations } from '../../src/decision/outlast.ts';
import type { LoadedPolicy } from '../../src/types.ts';
import { policyInput } from './input.ts';

/** A stand-in for an engine: each evaluation ends when it is told to. */
function createSlowPolicy() {
  const ends: Array<(results: readonly unknown[]) => void> = [];
  let closed = false;
  const policy: LoadedPolicy = {
    revision: 'r1',
    entrypoints: ['ollama/authz'],
    reads: { all: true, members: new Set() },
    codes: new Set(),
    deterministic: false,
    shape: () => 'allow',
    evaluate: () => new Promise((resolve) => ends.push(resolve)),
    async close() {
      closed = true;
    },
  };
  return { policy, ends, isClosed: () => closed };
}

test('a policy is closed when the last evaluation that it began has ended, and not before', async () => {
  const { policy, ends, isClosed } = createSlowPolicy();
  const kept = outlastEvaluations(policy);
  const results = [kept.evaluate('ollama/authz', policyInput()), kept.evaluate('ollama/authz', policyInput())];
  const closing = kept.close();
  ends[0]?.([true]);
  await results[0];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isClosed(), false);
  ends[1]?.([false]);
  assert.deepEqual(await Promise.all(results), [[true], [false]]);
  await closing;
  assert.equal(isClosed(), true);
});

test('one that fails holds nothing up, and one that does not wait is handed on as it is', async () => {
  const { policy, isClosed } = createSlowPolicy();
  const failing = outlastEvaluations({ ...policy, evaluate: () => Promise.reject(new Error('down')) });
  await assert.rejects(async () => failing.evaluate('ollama/authz', policyInput()), /down/);
  const at = [true];
  const inline = outlastEvaluations({ ...policy, evaluate: () => at });
  assert.equal(inline.evaluate('ollama/authz', policyInput()), at);
  await failing.close();
  assert.equal(isClosed(), true);
});
