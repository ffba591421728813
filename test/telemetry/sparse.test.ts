/** What anybody can cause is told a few times, and then counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createSparse } from '../../src/telemetry/sparse.ts';

test('each kind is told so often in its time, and then how often it was not', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const leftOut: Array<[string, number]> = [];
  const sparse = createSparse({ most: 2, perMs: 1000, onLeftOut: (kind, count) => leftOut.push([kind, count]) });
  const admitted = (kind: string, times: number): number =>
    Array.from({ length: times }, () => sparse.admits(kind)).filter(Boolean).length;

  assert.equal(admitted('a', 7), 2);
  assert.equal(admitted('b', 1), 1);
  assert.deepEqual(leftOut, []);
  t.mock.timers.tick(999);
  assert.equal(admitted('a', 1), 0);
  t.mock.timers.tick(1);
  assert.deepEqual(leftOut, [['a', 6]]);

  assert.equal(admitted('a', 3), 2);
  sparse.close();
  assert.deepEqual(leftOut, [
    ['a', 6],
    ['a', 1],
  ]);
  t.mock.timers.tick(5000);
  assert.equal(leftOut.length, 2);
});
