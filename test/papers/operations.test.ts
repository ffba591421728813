/** The commands of the papers for operators, asked of a sidecar at work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';
import { sidecar, standIns } from './sidecar.ts';

test('every command of docs/admin.md, docs/delivery.md and docs/logs.md runs', {
  skip: noModule,
  timeout: 400_000,
}, async (t) => {
  const place = await makePlace(t, { standIns });
  const steps = stepsOf(['docs/admin.md', 'docs/delivery.md', 'docs/logs.md'].flatMap(runHere), {
    'curl -H': { before: `${sidecar(place)}\nDECISION=$(sed -E 's/.*"decision_id":"([^"]+)".*/\\1/;q' "$out")` },
    'opallama rollback': { before: 'two_more_revisions; opallama reload; opallama rollout --percent 100' },
  });
  const [admin = ''] = await follow(t, place, steps);
  assert.match(admin, /"revision":"dbeea3170999"/);
  assert.match(admin, /^\{"decision_id":.*"rules":\[\{/m);
});
