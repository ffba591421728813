/** The runner of OPA's suite itself: what it must call a failure. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { isOpaModuleBuilt } from '../../src/opa-module/module-file.ts';
import { canonical } from './canonical.ts';

const noGo = spawnSync('go', ['version']).error !== undefined || !isOpaModuleBuilt();
const skip = noGo ? "OPA's cases are in its Go module, and Go is missing" : false;
const script = fileURLToPath(new URL('run.ts', import.meta.url));

function run(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

test('a case that passes and one that is listed with a reason are no failure', { skip }, () => {
  const { status, output } = run('--only', 'dataderef/');
  assert.match(output, /^[1-9]\d* passed, 2 listed, 0 failed$/m);
  assert.equal(status, 0, output);
});

test('a case that fails and is not listed, one that is listed and passes, and one that is none are failures', {
  skip,
}, (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-conformance-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const list = join(directory, 'listed.json');
  const passing = 'sprintf/test-sprintf.yaml: sprintf/big_int';
  writeFileSync(list, JSON.stringify([{ reason: 'x', cases: [passing, 'no/such.yaml: case'] }]));
  const listed = run('--only', 'sprintf/', '--list', list);
  assert.match(listed.output, /big_int: is listed, and passes/);
  assert.match(listed.output, /no\/such\.yaml: case: is listed, and is no case/);
  assert.equal(listed.status, 1);
  writeFileSync(list, '[]');
  const failing = run('--only', 'dataderef/', '--list', list);
  assert.match(failing.output, /data\/toplevel integer: expected /);
  assert.equal(failing.status, 1);
});

test('no case at all is a failure', { skip }, () => {
  assert.equal(run('--only', 'no such text').status, 1);
});

test('numbers are compared by what they stand for, and texts and members as they are', () => {
  const same = [
    [1, JSON.rawJSON('1.0'), JSON.rawJSON('10E-1')],
    [0, JSON.rawJSON('-0'), JSON.rawJSON('0.00')],
    [JSON.rawJSON('9007199254740993'), JSON.rawJSON('9.007199254740993e15')],
    [
      { a: 1, b: [2] },
      { b: [2], a: 1 },
    ],
  ];
  for (const [first, ...others] of same) for (const other of others) assert.equal(canonical(other), canonical(first));
  const different = [
    1,
    -1,
    10,
    '1',
    [1],
    { a: 1 },
    null,
    JSON.rawJSON('9007199254740993'),
    JSON.rawJSON('9007199254740992'),
  ];
  assert.equal(new Set(different.map(canonical)).size, different.length);
});
