/** A policy that takes too long denies that request, and no other. */
import assert from 'node:assert/strict';
import { test as define } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atBest, patient } from '../../support/at-best.ts';
import { loadModule } from './module-policy.ts';

// Deadlines are short here: what a held up process spoils is carried out anew.
const test = patient(define);

/** Backtracks for years. */
const backtracking = `
export function evaluate({ model }) {
  return { allow: model === 'bad' ? /^(a+)+$/.test('a'.repeat(60) + '!') : true };
}`;
const allow = [{ allow: true }];
const deadline = 300;

test('a pattern that backtracks is denied when its deadline has passed, and the next request is decided', async (t) => {
  // Long enough for the next request to be decided on a machine that is busy with other tests.
  const deadline = 1000;
  const { ask, lost } = await loadModule(t, backtracking, { deadline });
  const took: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const started = performance.now();
    assert.equal(await ask('bad'), 'policy_deadline');
    took.push(performance.now() - started);
    assert.deepEqual(await ask('good'), allow);
  }
  // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
  assert.ok(Math.min(...took) >= deadline - 100, `${took.join()} ms`);
  // By how much it is late on a quiet one is what `npm run test:isolation` holds.
  assert.ok(Math.min(...took) < deadline + 500, `${took.join()} ms`);
  assert.deepEqual(lost, ['policy_deadline', 'policy_deadline', 'policy_deadline']);
});

for (const workers of [1, 2]) {
  test(`requests behind one that is stuck are answered, with ${workers} threads`, async (t) => {
    const { ask } = await loadModule(t, backtracking, { deadline: 3000, workers });
    // As many as there are threads, and the rest behind them.
    const bad = Array.from({ length: workers }, () => ask('bad'));
    const good = Array.from({ length: 200 }, () => ask('good'));
    for (const answer of await Promise.all(good)) assert.deepEqual(answer, allow);
    for (const answer of await Promise.all(bad)) assert.equal(answer, 'policy_deadline');
  });
}

test('a caller who sends nothing but stuck requests is denied, and others are again when it stops', async (t) => {
  const { ask } = await loadModule(t, backtracking, { deadline });
  const bad = Array.from({ length: 20 }, () => ask('bad'));
  for (const answer of await Promise.all(bad)) assert.equal(answer, 'policy_deadline');
  let answer = await ask('good');
  for (let round = 0; typeof answer === 'string' && round < 100; round += 1) answer = await ask('good');
  assert.deepEqual(answer, allow);
});

test('what waits for something that never comes is denied at its deadline and costs no thread', async (t) => {
  const { ask, lost } = await loadModule(
    t,
    `let asked = 0;
    export function evaluate({ model }) {
      asked += 1;
      return model === 'bad' ? new Promise(() => {}) : { allow: true, asked };
    }`,
    { deadline, workers: 1 },
  );
  const started = performance.now();
  const bad = ask('bad');
  assert.deepEqual(await ask('good'), [{ allow: true, asked: 2 }]);
  assert.equal(await bad, 'policy_deadline');
  assert.ok(performance.now() - started < deadline * 5, 'not when its thread had been given up');
  assert.deepEqual(await ask('good'), [{ allow: true, asked: 3 }]);
  assert.deepEqual(lost, []);
});

test('requests that wait do not wait for each other', async (t) => {
  const { ask } = await loadModule(
    t,
    `import { setTimeout as sleep } from 'node:timers/promises';
    export async function evaluate() {
      await sleep(100);
      return true;
    }`,
    { workers: 1 },
  );
  const tookMs = await atBest(800, async () => {
    const started = performance.now();
    await Promise.all(Array.from({ length: 16 }, () => ask('good')));
    return performance.now() - started;
  });
  assert.ok(tookMs < 800, 'sixteen times 100 ms were not one after the other');
});

test('this thread is free while threads of the policy are stuck', async (t) => {
  const { ask } = await loadModule(t, backtracking, { deadline: 500 });
  const bad = Array.from({ length: 2 }, () => ask('bad'));
  let turns = 0;
  const until = performance.now() + 400;
  while (performance.now() < until) {
    await sleep(5);
    turns += 1;
  }
  // Some 80 on a machine that does nothing else; none if this thread were stuck too.
  assert.ok(turns > 5, `${turns} turns in 400 ms`);
  await Promise.all(bad);
});
