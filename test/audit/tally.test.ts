import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createRecorder } from '../../src/audit/record.ts';
import { createTally } from '../../src/audit/tally.ts';
import type { Decision } from '../../src/types.ts';
import { decisionOf } from './recording.ts';

test('what is counted by revision and by code has its bounds, whatever a policy makes of its callers', () => {
  const tally = createTally();
  const record = createRecorder({ observers: [tally.observe], withoutContent: () => ({}) });
  for (let number = 0; number < 1000; number += 1) {
    const entry = record({ requestId: 'r', api: 'ollama', method: 'POST' });
    entry.decided(denial('r1', `code-${number}`), { codes: new Set(), readsContent: false });
    entry.finish({ outcome: 'denied', status: 403 });
  }
  // Without a decision there is nothing to count.
  record({ requestId: 'r', api: 'ollama', method: 'POST' }).finish({ outcome: 'denied', status: 401 });
  const counts = tally.revisions().get('r1');
  assert.deepEqual([counts?.codes.size, counts?.others, counts?.decisions.deny], [500, 500, 1000]);
  for (let number = 0; number < 30; number += 1) {
    const entry = record({ requestId: 'r', api: 'ollama', method: 'POST' });
    entry.decided(denial(`revision-${number}`, 'code'), { codes: new Set(), readsContent: false });
    entry.finish({ outcome: 'denied', status: 403 });
  }
  assert.equal(tally.revisions().size, 20);
  assert.ok(tally.revisions().has('revision-29') && !tally.revisions().has('r1'));
});

function denial(revision: string, code: string): Decision {
  return decisionOf({ allowed: false, result: 'deny', reasons: [{ code, message: code }], httpStatus: 403, revision });
}
