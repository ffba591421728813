/** Commands where the configuration names several policies. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama } from './command.ts';

const skip = noModule;
const rego = 'package ollama.authz\n\ndefault allow := false\n';
const config = `identity: { anonymous: { roles: [guest] } }
policy:
  all_of:
    - { name: company, path: company }
    - { name: team, path: team }
`;

const lay = (t: TestContext, team = rego) =>
  makeDirectory(t, { 'opallama.yaml': config, 'company/a.rego': rego, 'team/a.rego': team });

test('check loads every one and says what each is', { skip }, async (t) => {
  const { code, stdout } = await opallama(['check'], { cwd: await lay(t) });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /\/company: revision [0-9a-f]{12}, entrypoint ollama\/authz \(allow\)/);
  assert.match(stdout, /\/team: revision [0-9a-f]{12}, entrypoint ollama\/authz \(allow\)/);
});

test('one that does not compile is a finding, and it says which', { skip }, async (t) => {
  const { code, stdout } = await opallama(['check'], { cwd: await lay(t, 'package ollama.authz\n\nallow if if\n') });
  assert.equal(code, 1);
  assert.match(stdout, /^team\/a\.rego:3:\d+: error rego_parse_error: /m);
});

test('a command for one policy takes the path of one and asks for it where none is given', { skip }, async (t) => {
  const cwd = await lay(t);
  const none = await opallama(['fmt', '--config', 'opallama.yaml'], { cwd });
  assert.equal(none.code, 2);
  assert.match(none.stderr, /names several policies\. Give the path of one: company \(company\), team \(team\)\./);
  const one = await opallama(['fmt', '--config', 'opallama.yaml', join(cwd, 'team')], { cwd });
  assert.equal(one.code, 0, one.stderr);
});
