import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createBatch } from '../../src/audit/batch.ts';

const fail = (error: unknown): never => assert.fail(String(error));

test('tasks wait together, at most for the delay, and keep their order', async () => {
  const done: number[] = [];
  const batch = createBatch({ delayMs: 10, most: 100, onError: fail });
  batch.add(() => done.push(1));
  batch.add(() => done.push(2));
  assert.deepEqual(done, []);
  await sleep(50);
  assert.deepEqual(done, [1, 2]);
});

test('as many as are bounded to wait are done at once', () => {
  const done: number[] = [];
  const batch = createBatch({ delayMs: 60_000, most: 3, onError: fail });
  for (const task of [1, 2, 3, 4]) batch.add(() => done.push(task));
  assert.deepEqual(done, [1, 2, 3]);
  batch.drain();
  assert.deepEqual(done, [1, 2, 3, 4]);
  batch.drain();
  assert.equal(done.length, 4);
});

test('a task that is added by a task is not lost', () => {
  const done: string[] = [];
  const batch = createBatch({ delayMs: 60_000, most: 100, onError: fail });
  batch.add(() => batch.add(() => done.push('inner')));
  batch.drain();
  batch.drain();
  assert.deepEqual(done, ['inner']);
});

test('a task that throws is told of, and takes no other with it', () => {
  const done: unknown[] = [];
  const batch = createBatch({ delayMs: 60_000, most: 100, onError: (error) => done.push(error) });
  const broken = new Error('broken');
  batch.add(() => {
    throw broken;
  });
  batch.add(() => done.push('second'));
  batch.drain();
  assert.deepEqual(done, [broken, 'second']);
});
