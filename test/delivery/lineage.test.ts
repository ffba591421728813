/** Which revisions are kept, which one is gone back to, and what is closed. Policies that evaluate nothing stand in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PolicyMember } from '../../src/delivery/active-policy.ts';
import { createLineage, type Lineage } from '../../src/delivery/lineage.ts';
import { policyConfig } from '../support/policy-config.ts';

function start(over: Parameters<typeof policyConfig>[0], origin: PolicyMember['origin'] = 'configured') {
  const config = policyConfig(over);
  const closed: string[] = [];
  const make = (revision: string, from: PolicyMember['origin'] = 'configured'): PolicyMember => ({
    config,
    origin: from,
    loadedAtMs: 0,
    place: { place: 'inline', why: 'a stand-in' },
    prepared: { kind: 'directory', testsPassed: 0, ignoredFiles: [] },
    loaded: {
      revision,
      entrypoints: [],
      reads: { all: false, members: new Set() },
      codes: new Set(),
      deterministic: false,
      shape: () => 'unknown',
      evaluate: () => [],
      close: async () => void closed.push(revision),
    },
  });
  const lineage = createLineage(make('a', origin), (error) => assert.fail(String(error)));
  return { lineage, closed, take: (revision: string) => lineage.take(make(revision)) };
}

const names = ({ revisions }: Lineage) => revisions.map(({ loaded }) => loaded.revision).join('');
const deciding = ({ deciding: { loaded } }: Lineage) => loaded.revision;

test('the oldest leaves, but never what decides', () => {
  const { lineage, closed, take } = start({ keepRevisions: 3 });
  for (const revision of ['b', 'c', 'd']) take(revision);
  assert.deepEqual([names(lineage), closed], ['dcb', ['a']]);
  lineage.rollBack('b');
  assert.deepEqual([names(lineage), deciding(lineage)], ['dcb', 'b']);
});

test('what was gone back from is the last to go back to', () => {
  const { lineage, closed, take } = start({ keepRevisions: 3 });
  take('b');
  lineage.rollBack(undefined);
  take('c');
  assert.deepEqual([names(lineage), deciding(lineage), lineage.heldSinceMs], ['cab', 'c', undefined]);
  take('d');
  assert.deepEqual([names(lineage), closed], ['dca', ['b']]);
});

test('the same revision once more takes the place of the one before, which is closed', () => {
  const { lineage, closed, take } = start({ keepRevisions: 3, rollout: { percent: 10 } });
  take('a');
  assert.deepEqual([names(lineage), lineage.candidate, closed], ['a', undefined, ['a']]);
  take('b');
  lineage.rollOut(40);
  take('b');
  assert.deepEqual([names(lineage), lineage.candidate?.percent, deciding(lineage)], ['ba', 40, 'a']);
  assert.deepEqual(closed, ['a', 'b']);
});

test('a rollout needs a second one beside the one that decides, also where one is kept', () => {
  const { lineage, closed, take } = start({ keepRevisions: 1, rollout: { percent: 10 } });
  take('b');
  assert.equal(names(lineage), 'ba');
  take('c');
  assert.deepEqual([names(lineage), lineage.candidate?.percent, closed], ['ca', 10, ['b']]);
  lineage.rollOut(100);
  assert.deepEqual([names(lineage), closed], ['c', ['b', 'a']]);
});

test('the first policy that comes is not tried out against none, nor is none gone back to', () => {
  const { lineage, take } = start({ keepRevisions: 3, rollout: { percent: 10 } }, 'none');
  take('b');
  assert.deepEqual([names(lineage), deciding(lineage), lineage.candidate], ['b', 'b', undefined]);
  assert.throws(() => lineage.rollBack(undefined), { code: 'nothing_to_undo' });
});
