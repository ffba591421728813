/** The commands of docs/audit.md, on the file that a sidecar wrote. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';
import { sidecar } from './sidecar.ts';

test('the command of docs/audit.md gives the hash that stands in the line, and those for keys run', {
  skip: noModule,
  timeout: 600_000,
}, async (t) => {
  const place = await makePlace(t);
  const ask = place.translate('curl -s -o answer -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/tags');
  const steps = stepsOf(runHere('docs/audit.md'), {
    'line=': { before: `${sidecar(place)}\n${ask}; ${ask}; stop; cp audit/audit.jsonl audit.jsonl` },
  });
  const [printed = ''] = await follow(t, place, steps);
  const line = readFileSync(join(place.directory, 'audit.jsonl'), 'utf8').split('\n')[6] ?? '';
  assert.equal(printed.slice(0, 64), JSON.parse(line).hash);
});
