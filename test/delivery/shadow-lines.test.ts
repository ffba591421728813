/** The lines of a shadow as a log collector gets them from the real command, and what reads them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { opallama, root } from '../cli/command.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { run } from '../support/running.ts';

test('a disagreement is a line beside the audit event, which replay passes over and eval takes', {
  skip: noModule,
}, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'opallama-shadow-'));
  t.after(() => rmSync(home, { recursive: true, maxRetries: 10 }));
  const upstream = await startAnsweringUpstream(t);
  for (const [name, model] of [
    ['now', 'tiny'],
    ['next', 'big'],
  ]) {
    mkdirSync(join(home, `${name}`));
    const rego = `package ollama.authz\n\ndefault allow := false\n\nallow if input.model == "${model}"\n`;
    writeFileSync(join(home, `${name}`, 'authz.rego'), rego);
  }
  const config = {
    listen: { data: '127.0.0.1:0', ops: '127.0.0.1:0' },
    upstream: { base_url: upstream },
    policy: { path: 'now', shadow: { path: 'next', name: 'candidate' } },
    identity: { anonymous: { roles: ['guest'] } },
  };
  writeFileSync(join(home, 'opallama.yaml'), JSON.stringify(config));

  const serving = run(process.execPath, [join(root, 'bin/opallama.js'), 'serve'], { cwd: home });
  t.after(() => serving.stop());
  const [, port] = await serving.waitFor(/"listener":"data","address":"[^"]*","port":(\d+)/);
  await serving.waitFor(/"shadow":"candidate".*"shadow loaded/);
  const body = '{"model":"tiny","stream":false,"messages":[{"role":"user","content":"between us"}]}';
  const asked = await fetch(`http://127.0.0.1:${port}/api/chat`, { method: 'POST', body });
  assert.equal(asked.status, 200);
  const line = await serving.waitForLine(/"event":"shadow"/);
  await serving.waitForLine(/"event":"audit"/);
  assert.match(line, /^\{"event":"shadow","time":"/);
  const { shadow, disagreement, policy_result, shadow_result } = JSON.parse(line);
  assert.deepEqual(
    { shadow, disagreement, policy_result, shadow_result },
    { shadow: 'candidate', disagreement: 'newly_denied', policy_result: 'allow', shadow_result: 'deny' },
  );
  assert.doesNotMatch(serving.stdout(), /between us/);

  writeFileSync(join(home, 'stdout.jsonl'), serving.stdout());
  const replayed = await opallama(['replay', 'stdout.jsonl'], { cwd: home });
  assert.match(replayed.stdout, /^1 decision: 1 alike$/m, replayed.stderr);
  const next = await opallama(['replay', '--policy', 'next', 'stdout.jsonl'], { cwd: home });
  assert.match(next.stdout, /^1 decision: 0 alike, 1 newly denied$/m);
  writeFileSync(join(home, 'line.json'), line);
  const evaluated = await opallama(['eval', '--input', 'line.json', '--policy', 'next'], { cwd: home });
  assert.match(evaluated.stdout, /^deny/, evaluated.stderr);
  const checked = await opallama(['check'], { cwd: home });
  assert.match(checked.stdout, /next: revision [0-9a-f]{12}/);
});
