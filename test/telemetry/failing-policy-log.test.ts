/** The command itself, with a policy that fails every time. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { makeDirectory } from '../policy/directory.ts';
import { run } from '../support/running.ts';

const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

test('a policy that fails every request fills no log, and every request has its event', async (t) => {
  const directory = await makeDirectory(t, {
    // Two values for one rule: an error when it is evaluated.
    'policy/authz.rego': 'package ollama.authz\n\nhttp_status := 401\n\nhttp_status := 402 if input.method == "GET"\n',
    'opallama.yaml': `listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0 }
upstream: { base_url: http://127.0.0.1:9 }
policy: { path: policy }
identity: { anonymous: { roles: [guest] } }
`,
  });
  const running = run(process.execPath, [script, 'serve', '--config', join(directory, 'opallama.yaml')], {
    env: { OLLAMA_HOST: undefined, OLLAMA_BASE_URL: undefined },
  });
  t.after(() => running.stop());
  const [line] = await running.waitFor(/^.*"listener":"data".*$/m);
  const { port }: { port: number } = JSON.parse(line);
  for (let asked = 0; asked < 30; asked += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/version`);
    assert.equal(answer.status, 500, await answer.text());
  }
  assert.equal(await running.stop(), 0);
  const told = (pattern: RegExp): number => running.stderr().match(pattern)?.length ?? 0;
  assert.equal(told(/the policy failed to evaluate"/g), 10);
  assert.match(running.stderr(), /"left_out":20,"msg":"the policy failed to evaluate more often"/);
  assert.equal(running.stdout().match(/"reasons":\["policy_error"\]/g)?.length, 30);
});
