/** examples/github-action/policy.yml: a workflow, and what it runs of opallama does what it says. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';

import { opallama } from '../cli/command.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { wordsOf } from '../support/commands-of.ts';
import { readPaper, root } from './papers.ts';

const home = mkdtempSync(join(tmpdir(), 'opallama-action-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

const workflow = z
  .object({
    name: z.string(),
    on: z.record(z.string(), z.unknown()),
    permissions: z.object({ contents: z.literal('read') }),
    jobs: z.record(
      z.string(),
      z.object({
        'runs-on': z.string(),
        'timeout-minutes': z.number(),
        steps: z.array(z.object({ uses: z.string().optional(), run: z.string().optional() })),
      }),
    ),
  })
  .parse(parse(readPaper('examples/github-action/policy.yml')));

const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
const lines = steps.flatMap(({ run = '' }) => run.split('\n')).filter((line) => line !== '');

test('actions and the package are pinned to whole versions, the package to this one', () => {
  const uses = steps.flatMap(({ uses: action }) => action ?? []);
  assert.ok(uses.length > 1);
  for (const action of uses) assert.match(action, /@v\d+\.\d+\.\d+$/);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.ok(lines.includes(`npm install --global opallama@${version}`));
});

test('what it runs of opallama passes for a policy that is in order, and a slip in it is found', {
  skip: noModule,
}, async () => {
  assert.equal((await opallama(['init', 'repo/policies', '--template', 'tools'], { cwd: home })).code, 0);
  mkdirSync(join(home, 'before'));
  cpSync(join(home, 'repo/policies'), join(home, 'before/policies'), { recursive: true });
  const commands = lines.map(wordsOf).filter(([command]) => command === 'opallama');
  assert.deepEqual(
    commands.map(([, name]) => name),
    ['fmt', 'check', 'test', 'test', 'diff'],
  );
  const exits = async (): Promise<readonly (number | null)[]> => {
    const codes: (number | null)[] = [];
    for (const [, ...words] of commands) {
      const redirected = words.indexOf('>');
      const args = redirected === -1 ? words : words.slice(0, redirected);
      codes.push((await opallama(args, { cwd: join(home, 'repo') })).code);
    }
    return codes;
  };
  assert.deepEqual(await exits(), [0, 0, 0, 0, 0]);

  const file = join(home, 'repo/policies/ollama/authz.rego');
  const slipped = readFileSync(file, 'utf8').replace('input.server_tools == []', 'input.server_tool == []');
  writeFileSync(file, slipped);
  // Formatted, and a policy still: with --allow-changes what it decides otherwise is only told.
  assert.deepEqual(await exits(), [0, 1, 1, 1, 0]);
});
