/** The commands of the papers that lie beside what they are about: the shipped policies, and opa/. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../support/opa-cli.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';

test('OPA itself takes the shipped policies by every command of policies/README.md', {
  skip: noModule || noGo,
  timeout: buildLimitMs + 120_000,
}, async (t) => {
  const opa = await buildOpaCli();
  const place = await makePlace(t, { checkout: true, standIns: { opa: `exec '${opa}' "$@"` } });
  const [printed] = await follow(t, place, stepsOf(runHere('policies/README.md'), {}));
  assert.match(printed ?? '', /^PASS: \d+\/\d+$/m);
});

test('opa/ is built by every command of opa/README.md, and copies elsewhere come out alike', {
  skip: noModule || noGo,
  timeout: buildLimitMs,
}, async (t) => {
  // Go's caches are those of whoever runs the tests.
  const env = { HOME: process.env['HOME'] ?? '' };
  const place = await makePlace(t, { checkout: true, env });
  const [printed = ''] = await follow(t, place, stepsOf(runHere('opa/README.md'), {}));
  const [first, ...others] = printed.match(/^[0-9a-f]{64}$/gm) ?? [];
  assert.ok(others.length > 0 && others.every((other) => other === first), printed);
});
