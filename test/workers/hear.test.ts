/** What the primary records of requests that ended with their worker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Recorded, toLine, toLineJson } from '../../src/audit/sink.ts';
import { createHearing } from '../../src/workers/primary/hear.ts';
import type { WorkerProcess } from '../../src/workers/primary/worker-process.ts';
import { decisionEvent } from '../audit/file-of-test.ts';

test('the record of a request that was lost with its worker holds no character that a terminal takes for a command', () => {
  const recorded: Recorded[] = [];
  const hearing = createHearing({
    metrics: {
      auditFailed: () => {},
      auditUnrecorded: () => {},
      handshakeFailed: () => {},
      tlsReloaded: () => {},
      identityReloaded: () => {},
    },
    record: (one) => recorded.push(one),
    observers: [],
    admit: () => undefined,
    onLog: () => {},
  });
  // A stand-in: it is only told apart from others here.
  const worker = {} as WorkerProcess;
  const principal = 'a\u009b31m\u2028\u007f';
  const decision = toLineJson({ ...decisionEvent('r'), principal });
  hearing.hear(worker, { kind: 'records', told: [{ decision }], counts: [], disagreements: [] });
  assert.equal(hearing.end(worker), 1);
  const [line = ''] = recorded.map(toLine);
  assert.doesNotMatch(line, /[\u007f-\u009f\u2028\u2029]/);
  assert.equal(JSON.parse(line).principal, principal);
  assert.equal(JSON.parse(line).outcome, 'error');
});
