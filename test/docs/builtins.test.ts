/** docs/builtins.md against what a policy imports that calls every built-in, and against the code that answers. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

import { buildTable } from '../../scripts/builtins-table.ts';
import { unavailableBuiltins } from '../../src/decision/engines/compiled/builtins.ts';
import { hostBuiltins } from '../../src/decision/engines/compiled/host-builtins.ts';
import { isOpaModuleBuilt } from '../../src/opa-module/module-file.ts';
import { codes, readPaper, tableRows } from './papers.ts';

const paper = readPaper('docs/builtins.md');
const noGo = spawnSync('go', ['version']).error !== undefined || !isOpaModuleBuilt();

test('the paper says of every built-in whether compiled policy answers it or OPA does', {
  skip: noGo ? "OPA's list of built-ins is in its Go module, and Go is missing" : false,
}, async () => {
  assert.ok(paper.includes(await buildTable()), 'run: node_modules/.bin/node scripts/write-builtins.ts');
});

test('the paper names what the host answers and what is refused, and nothing else', () => {
  const rows = new Map(
    tableRows(paper, 'Built-in functions').map(([who = '', which]) => [who, codes(which).toSorted()]),
  );
  assert.deepEqual(rows.get('the host'), Object.keys(hostBuiltins).toSorted());
  assert.deepEqual(rows.get('nobody: refused when the policy is loaded'), Object.keys(unavailableBuiltins).toSorted());
});
