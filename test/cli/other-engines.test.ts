/** `check` and `serve` where the configuration names an engine that has no Rego here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDirectory } from '../policy/directory.ts';
import { findFreePort } from '../support/free-port.ts';
import { opallama } from './command.ts';

const guests = 'identity: { anonymous: { roles: [guest] } }\n';

test('check finds the faults of a Cedar policy with file, row and column', async (t) => {
  const cwd = await makeDirectory(t, {
    'opallama.yaml': `${guests}policy: { engine: cedar, path: rules }\n`,
    'rules/a/main.cedar': 'permit (principal, action, resource);\n\nforbid (principal, actoin, resource);\n',
    'rules/entities.json': '[{"uid": "x"}]',
  });
  const { code, stdout, stderr } = await opallama(['check'], { cwd });
  assert.equal(code, 1);
  assert.match(
    stdout + stderr,
    /a\/main\.cedar:3:20: error cedar_parse: found an invalid variable in the policy scope: actoin/,
  );
  assert.match(stdout + stderr, /entities\.json: error cedar_entities: entity 1 needs "uid"/);
});

test('check knows a directory of Cedar without a configuration, and shows the line', async (t) => {
  const cwd = await makeDirectory(t, {
    'rules/main.cedar': 'permit (principal, action, resource)\nwhen { context.modle == "x" };\n',
  });
  const { code, stdout } = await opallama(['check', 'rules'], { cwd });
  assert.equal(code, 1);
  assert.match(stdout, /^rules\/main\.cedar:1:1: error cedar_unknown: context has no "modle"/m);
  assert.match(stdout, /^1 \| permit \(principal, action, resource\)$/m);
  const shipped = await opallama(['check', 'policies/cedar']);
  assert.deepEqual(
    [shipped.code, shipped.stdout],
    [0, 'policies/cedar: 3 files, entrypoint ollama/authz\nNothing found.\n'],
  );
});

test('check says that a Cedar policy is in order', async (t) => {
  const cwd = await makeDirectory(t, {
    'opallama.yaml': `${guests}policy: { engine: cedar, path: rules }\n`,
    'rules/main.cedar': 'permit (principal, action, resource);\n',
  });
  const { code, stdout } = await opallama(['check'], { cwd });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /rules: revision [0-9a-f]{12}/);
});

test('check passes where the remote OPA is not there, because that is no fault of the configuration', async (t) => {
  const cwd = await makeDirectory(t, {
    'opallama.yaml': `${guests}policy: { engine: opa, opa: { url: "http://127.0.0.1:${await findFreePort()}" } }\n`,
  });
  const { code, stdout, stderr } = await opallama(['check'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /in order/);
});
