/** `opallama explain` as people and machines read it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama } from './command.ts';

const skip = noModule;
const home = mkdtempSync(join(tmpdir(), 'opallama-explain-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));
mkdirSync(join(home, 'policies'));
writeFileSync(
  join(home, 'policies/authz.rego'),
  `package authz

default allow := false

allow if {
	input.operation == "chat"
	model_listed
}

model_listed if {
	some pattern in data.roles[input.agent_role].models
	glob.match(pattern, ["/"], input.model)
}

deny contains {"code": "says_secret", "message": said} if {
	some message in input.messages
	contains(lower(message.content), "secret")
	said := concat(" ", ["you said", message.content])
}

deny contains "too_many" if input.message_count > 10
`,
);
writeFileSync(join(home, 'policies/data.json'), '{"roles":{"guest":{"models":["tiny*"]}}}');

const ask = (content: string) => [
  ...['explain', '--entrypoint', 'authz', '--as', 'guest', '/api/chat'],
  ...['-d', JSON.stringify({ model: 'llama3.2', messages: [{ role: 'user', content }] })],
];
const inHome = { cwd: home };

test('a denial is followed from the rule that did not hold to the expression where it ended, with the values there', {
  skip,
}, async () => {
  const { code, stdout } = await opallama(ask('hello'), inHome);
  assert.equal(code, 0);
  assert.equal(
    stdout.replace(/revision .*/, 'revision'),
    `deny  policy_denied  The policy does not allow this.
  caller  someone, jwt, roles guest, agent_role guest
  asks    chat llama3.2  (POST /api/chat)
  answer  403
  policy  authz by wasm, revision

by default
  policies/authz.rego:3  default allow := false

did not hold
  policies/authz.rego:7  allow ends at model_listed
    policies/authz.rego:12  model_listed ends at glob.match(pattern, ["/"], input.model)
      (pattern = "tiny*", input.model = "llama3.2")
  policies/authz.rego:17  deny ends at contains(lower(message.content), "secret")
    (message.content = (hidden: --show-content))
  policies/authz.rego:21  deny ends at input.message_count > 10
    (input.message_count = 1)
`,
  );
});

test('rules that held come first, content is hidden in what they saw and shown where that is wanted', {
  skip,
}, async () => {
  const hidden = await opallama([...ask('the SECRET is Rumpelstilz'), '--trace'], inHome);
  assert.match(hidden.stdout, /\nheld\n {2}policies\/authz\.rego:15 {2}deny contains/);
  assert.match(hidden.stdout, /gave \(hidden: --show-content\)/);
  assert.match(hidden.stdout, /Enter data\.authz/);
  assert.match(hidden.stdout, /^deny {2}says_secret {2}\(hidden: --show-content\)\n/);
  assert.doesNotMatch(hidden.stdout, /Rumpelstilz/i);
  const open = await opallama([...ask('the SECRET is Rumpelstilz'), '--show-content'], inHome);
  assert.match(open.stdout, /^deny {2}says_secret {2}you said the SECRET is Rumpelstilz\n/);
  assert.match(open.stdout, /message\.content = "the SECRET is Rumpelstilz"/);
});

test('machines get every rule with its outcome and every evaluation with its values', { skip }, async () => {
  const { stdout } = await opallama([...ask('hello'), '--format', 'json'], inHome);
  const told = JSON.parse(stdout);
  assert.equal(told.decision, 'deny');
  const [explained] = told.policies;
  assert.equal(explained.interpreter.defined, true);
  assert.deepEqual(
    explained.rules.map(({ path, file, row, asked, held }: Readonly<Record<string, unknown>>) => [
      path,
      `${file}:${row}`,
      asked,
      held,
    ]),
    [
      ['authz/allow', 'policies/authz.rego:3', 1, 1],
      ['authz/allow', 'policies/authz.rego:5', 1, 0],
      ['authz/model_listed', 'policies/authz.rego:10', 1, 0],
      ['authz/deny', 'policies/authz.rego:15', 1, 0],
      ['authz/deny', 'policies/authz.rego:21', 1, 0],
    ],
  );
  const [failure] = explained.evaluations.find(({ rule }: { rule: number }) => rule === 2).failures;
  assert.deepEqual(failure.bindings, [
    { name: 'input.model', value: 'llama3.2' },
    { name: 'pattern', value: 'tiny*' },
  ]);
  assert.doesNotMatch(stdout, /hello/);
});

test('a line of the audit log is explained as the request was', { skip }, async () => {
  const input = { operation: 'chat', agent_role: 'guest', model: 'tinyllama', message_count: 11, erased: ['messages'] };
  const { stdout } = await opallama(['explain', '--entrypoint', 'authz', '--input', '-'], {
    ...inHome,
    stdin: JSON.stringify({ event: 'audit', input }),
  });
  assert.match(stdout, /^deny {2}too_many\n/);
  assert.match(stdout, /absent +the policy reads messages, which/);
  assert.match(stdout, /held\n {2}policies\/authz\.rego:5 {2}allow if\n/);
  assert.match(stdout, /policies\/authz\.rego:21 .*\n.*gave "too_many"\n {4}\(input\.message_count = 11\)/);
});

test('a request that the sidecar itself refuses has nothing to explain', { skip }, async () => {
  const { code, stdout } = await opallama(
    ['explain', '--entrypoint', 'authz', '--as', 'guest', '/api/chat', '-d', '{"model":"a","model":"b"}'],
    inHome,
  );
  assert.equal(code, 0);
  assert.match(stdout, /^refused {2}duplicate_member/);
  assert.doesNotMatch(stdout, /held/);
});

test('of several policies each is explained by its name', { skip }, async () => {
  mkdirSync(join(home, 'second'));
  writeFileSync(join(home, 'second/b.rego'), 'package b\n\nallow if input.stream\n');
  writeFileSync(
    join(home, 'both.yaml'),
    `identity: { anonymous: { roles: [guest] } }
policy:
  all_of:
    - { name: first, path: policies, entrypoint: authz }
    - { name: other, path: second, entrypoint: b }
`,
  );
  const body = JSON.stringify({ model: 'tinyllama', messages: [], stream: false });
  const { stdout } = await opallama(['explain', '-c', 'both.yaml', '/api/chat', '-d', body], inHome);
  assert.match(stdout, /^deny {2}policy_undefined/);
  assert.match(stdout, /\n {2}policy +authz by wasm and b by wasm/);
  assert.match(stdout, /\npolicy first\n\nheld\n {2}policies\/authz\.rego:5 {2}allow if\n/);
  assert.match(stdout, /\npolicy other\n\ndid not hold\n {2}second\/b\.rego:3 {2}allow ends at input\.stream\n/);
});
