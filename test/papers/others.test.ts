/** Commands of other programs that papers tell their readers to give what is ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPaper } from '../docs/papers.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../support/opa-cli.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';

test('openssl prints a subject as docs/tls.md has it in the configuration', { timeout: 200_000 }, async (t) => {
  const place = await makePlace(t);
  const make = 'openssl req -x509 -newkey ed25519 -nodes -keyout key.pem -subj /O=Example/CN=nightly -out nightly.crt';
  const steps = stepsOf(runHere('docs/tls.md'), { 'openssl x509': { before: `${make} 2> /dev/null` } });
  const [printed = ''] = await follow(t, place, steps);
  assert.ok(readPaper('docs/tls.md').includes(`subject: "${printed.trim().replace('subject=', '')}"`), printed);
});

test('OPA itself tests a policy that imports the library, as docs/policy-library.md says', {
  skip: noModule || noGo,
  timeout: buildLimitMs + 60_000,
}, async (t) => {
  const place = await makePlace(t, { standIns: { opa: `exec '${await buildOpaCli()}' "$@"` } });
  // As if the package were installed here.
  const install = 'mkdir node_modules; ln -s "$ROOT" node_modules/opallama; opallama init policies --template roles';
  const [printed = ''] = await follow(
    t,
    place,
    stepsOf(runHere('docs/policy-library.md'), { 'opa test': { before: install } }),
  );
  assert.match(printed, /^PASS: \d+\/\d+$/m);
});
