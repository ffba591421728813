/** Credentials of files: `check` finds what is wrong with them, and `eval` knows the callers that they name. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { createApiKey } from '../../src/identity/api-key.ts';
import { opallama } from './command.ts';

function inDirectory(t: TestContext) {
  const cwd = mkdtempSync(join(tmpdir(), 'opallama-check-'));
  t.after(() => rmSync(cwd, { recursive: true, maxRetries: 10 }));
  mkdirSync(join(cwd, 'mine'));
  writeFileSync(
    join(cwd, 'mine', 'authz.rego'),
    'package ollama.authz\nimport rego.v1\nallow if input.principal.id == "ci"\n',
  );
  writeFileSync(
    join(cwd, 'opallama.yaml'),
    'policy: { path: mine }\nidentity: { api_keys: { file: keys.yaml }, revocations: { file: revoked.yaml } }\n',
  );
  return cwd;
}

test('check names every file of keys that can not be used, as serve would', async (t) => {
  const cwd = inDirectory(t);
  writeFileSync(join(cwd, 'revoked.yaml'), 'revoked: [{ jit: x }]\n');
  const { code, stderr } = await opallama(['check'], { cwd });
  assert.equal(code, 2);
  assert.match(stderr, /keys\.yaml: cannot be read \(ENOENT\)/);
  assert.match(stderr, /revoked\.yaml: can not be used: .*jit/);
});

test('eval knows the caller of an API key, unless it was revoked', async (t) => {
  const cwd = inDirectory(t);
  const { id, hash, key } = createApiKey();
  writeFileSync(join(cwd, 'keys.yaml'), JSON.stringify({ keys: [{ id, hash, principal: 'ci', roles: ['x'] }] }));
  writeFileSync(join(cwd, 'revoked.yaml'), 'revoked: []\n');
  const evaluate = () => opallama(['eval', '-H', `X-Api-Key: ${key}`, '/api/tags'], { cwd });
  const good = await evaluate();
  assert.match(good.stdout, /allow/, good.stderr);
  assert.equal(good.code, 0);
  writeFileSync(join(cwd, 'revoked.yaml'), `revoked: [{ api_key: ${id} }]\n`);
  assert.match((await evaluate()).stdout, /the API key was revoked/);
});
