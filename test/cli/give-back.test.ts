import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

import { giveMemoryBack } from '../../src/give-back.ts';

test('what a start leaves behind is given back to the machine, and code gets no collector of its own', () => {
  const left = (): unknown[] => Array.from({ length: 400_000 }, (_, i) => ({ i, text: `text ${i}` }));
  assert.equal(left().length, 400_000);
  const before = process.memoryUsage().heapTotal;
  giveMemoryBack();
  const given = before - process.memoryUsage().heapTotal;
  assert.ok(given > 10 * 1024 * 1024, `${given} of ${before} bytes`);
  assert.equal(runInNewContext('typeof gc'), 'undefined');
});
