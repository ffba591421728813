/** Every example of docs/cli.md, in one directory that has what they take for granted. */
import { test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, interrupted, stepsOf } from './session.ts';
import { sidecar, standIns } from './sidecar.ts';

test('every command of docs/cli.md runs', { skip: noModule, timeout: 850_000 }, async (t) => {
  // Nobody reads these figures.
  const shorter = [/^opallama bench (?!.*--duration).*$/gm, '$& --duration 300ms'] as const;
  const place = await makePlace(t, { standIns, replace: [shorter] });
  const steps = stepsOf(runHere('docs/cli.md'), {
    'opallama check policies/': { before: sidecar(place) },
    'opallama test policies/': { ways: { 'opallama test policies/ --watch': interrupted('passed') } },
    'opallama audit verify': { ways: { 'opallama audit tail --follow': interrupted('alice') } },
    // It overwrites nothing, so its reader is elsewhere.
    'opallama init': { before: 'mkdir new; cd new' },
    'opallama schema': { before: 'cd ..' },
    'opallama reload': { before: 'two_more_revisions' },
    // What was rolled back is taken again, so that there is something to roll out.
    'opallama rollout': { before: 'opallama reload' },
  });
  await follow(t, place, steps);
});
