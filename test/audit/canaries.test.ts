/**
 * No prompt, no answer and no credential comes out where it does not belong, whatever evaluates the policy and however it
 * fails.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { createAuditRecorded } from '../../src/audit/sink.ts';
import { routes } from '../../src/input/routes.ts';
import { assertSilent, bodies, canary, walkWithCanaries, word } from './canary-walk.ts';
import { auditEvent } from './file-of-test.ts';

/** Reads all content, repeats it wherever a policy may write, fails on it, and denies by it: each for a model. */
const policy = `package ollama.authz

default allow := false

allow if not input.model in {"denied"}

said := json.marshal([object.get(input, "messages", ""), object.get(input, "prompt", ""), object.get(input, "system", "")])

deny contains {"code": said, "message": said} if input.model == "denied"

dynamic_metadata := {"said": said}

# Two values: an error whose text could quote them.
http_status := said if input.model == "failing"

http_status := 401 if input.model == "failing"

debug_log := true
`;

for (const engine of ['wasm', 'topdown']) {
  test(`engine ${engine}: no canary comes out but in the answers of the upstream`, async (t) => {
    await walkWithCanaries(t, {
      furnish(place) {
        mkdirSync(join(place, 'policies'));
        writeFileSync(join(place, 'policies', 'authz.rego'), policy);
        return `{ path: policies, engine: ${engine}, schema: off }`;
      },
      paths: Object.keys(bodies),
      failing: ['failing'],
      malformed: true,
    });
  });
}

test('every route that takes a body has its canaries', () => {
  const taking = routes.filter(({ request }) => request !== undefined).map(({ path }) => path);
  // Of these a body holds nothing but names.
  const named = [
    '/api/pull',
    '/api/push',
    '/api/copy',
    '/api/delete',
    '/api/experimental/aliases',
    '/api/me',
    '/api/signout',
  ];
  const missing = [...new Set(taking)].filter((path) => bodies[path] === undefined && !named.includes(path));
  assert.deepEqual(missing, []);
});

test('the look for canaries finds one', () => {
  const line = createAuditRecorded(auditEvent('a', { principal: canary('here') })).json();
  assert.throws(() => assertSilent(line, 'the line'), /the line tells/);
  assert.throws(() => assertSilent(Buffer.from(`ab${word}`).toString('base64'), 'the line'), /the line tells/);
});
