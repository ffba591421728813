/** Why a past decision was what it was, and how often each reason was given. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { noModule } from '../../policy/toolchain-fixture.ts';
import { adminToken, callAdmin, codeOf } from '../../support/admin.ts';
import { reload, startChanging } from '../../support/changing-policy.ts';
import type { TestSidecar, TestSidecarOptions } from '../../support/in-process.ts';

const skip = noModule;

const rego = `package ollama.authz

default allow := false

allow if input.model == "tiny"

# METADATA
# title: Too many
# description: More messages than anybody needs.
# custom:
#   code: too_many
deny contains {"code": "too_many", "message": "too many messages"} if input.message_count > 2

# METADATA
# title: Never
# description: No request is one.
# custom:
#   code: never_given
deny contains {"code": "never_given", "message": "never"} if input.operation == "none"
`;

const readsContent = `package ollama.authz

default allow := false

allow if not says_secret

says_secret if {
	some message in input.messages
	contains(message.content, "secret")
}
`;

async function ask(sidecar: TestSidecar, messages: readonly string[]): Promise<string> {
  const answer = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token()}` },
    body: JSON.stringify({
      model: 'tiny',
      stream: false,
      messages: messages.map((content) => ({ role: 'user', content })),
    }),
  });
  await answer.arrayBuffer();
  return answer.headers.get('x-opallama-decision-id') ?? '';
}

const explain = (sidecar: TestSidecar, decision_id: unknown) =>
  callAdmin(sidecar, '/v1/explain', { send: { decision_id } });

async function explainOne(sidecar: TestSidecar, decisionId: string) {
  const { status, body } = await explain(sidecar, decisionId);
  assert.equal(status, 200, JSON.stringify(body));
  const [policy] = Array.isArray(body['policies']) ? body['policies'] : [];
  return { body, policy };
}

const start = (t: TestContext, files: Readonly<Record<string, string>>, more: Partial<TestSidecarOptions> = {}) =>
  startChanging(t, { policy: files, ...more });

test('a past decision is explained by its id, with the rules that led to it', { skip }, async (t) => {
  const sidecar = await start(t, { 'authz.rego': rego });
  const allowed = await ask(sidecar, ['a prompt that nobody may see']);
  const denied = await ask(sidecar, ['1', '2', '3']);
  const { body, policy } = await explainOne(sidecar, denied);
  assert.deepEqual(
    [body['decision_id'], body['principal'], body['model'], body['policy_result'], body['reasons']],
    [denied, 'alice', 'tiny', 'deny', ['too_many']],
  );
  assert.equal(policy.undecidable, undefined);
  assert.equal(policy.revision, sidecar.events.at(-1)?.revision);
  const held = policy.rules.filter((rule: { held: number }) => rule.held > 0);
  assert.deepEqual(held.map(({ path, row }: { path: string; row: number }) => `${path}:${row}`).sort(), [
    'ollama/authz/allow:5',
    'ollama/authz/deny:12',
  ]);
  assert.equal((await explainOne(sidecar, allowed)).body['policy_result'], 'allow');
  assert.doesNotMatch(JSON.stringify((await explainOne(sidecar, allowed)).body), /nobody may see/);
  assert.equal(codeOf(await explain(sidecar, 'no-such-decision')), 'unknown_decision');
  assert.equal(codeOf(await explain(sidecar, 7)), 'invalid_member');
});

test('what can not be explained without content is undecidable', { skip }, async (t) => {
  const sidecar = await start(t, { 'authz.rego': readsContent });
  const { body, policy } = await explainOne(sidecar, await ask(sidecar, ['the secret that nobody may see']));
  assert.equal(body['policy_result'], 'deny');
  assert.match(policy.undecidable, /^The policy may have read what is not recorded: messages\.$/);
  assert.equal(policy.rules, undefined);
  assert.doesNotMatch(JSON.stringify(body), /nobody may see/);
});

test('a decision of another revision than lies there is undecidable', async (t) => {
  const sidecar = await start(t, { 'authz.rego': rego }, { policyConfig: { keepRevisions: 2 } });
  const decisionId = await ask(sidecar, ['1']);
  await reload(sidecar, { 'authz.rego': `${rego}\n# changed\n` });
  const { policy } = await explainOne(sidecar, decisionId);
  assert.match(policy.undecidable, /^Another revision than the one that decided lies at /);
  await reload(sidecar, { 'authz.rego': `${rego}\n# changed again\n` });
  assert.match((await explainOne(sidecar, decisionId)).policy.undecidable, /not kept any more/);
});

test('only so many decisions are kept, and none is where none is to be', async (t) => {
  const sidecar = await start(t, { 'authz.rego': rego }, { keepDecisions: 2 });
  const [first = '', , third = ''] = [await ask(sidecar, ['1']), await ask(sidecar, ['1']), await ask(sidecar, ['1'])];
  assert.equal(codeOf(await explain(sidecar, first)), 'unknown_decision');
  assert.equal((await explain(sidecar, third)).status, 200);
  const none = await start(t, { 'authz.rego': rego }, { keepDecisions: 0 });
  assert.equal(codeOf(await explain(none, await ask(none, ['1']))), 'unknown_decision');
});

test('coverage counts decisions and every code that the policy declares', async (t) => {
  const sidecar = await start(t, { 'authz.rego': rego }, { adminTokens: { oncall: adminToken } });
  for (const messages of [['1'], ['1', '2', '3'], ['1', '2', '3', '4']]) await ask(sidecar, messages);
  const { body } = await callAdmin(sidecar, '/v1/coverage');
  const [policy] = Array.isArray(body['policies']) ? body['policies'] : [];
  assert.deepEqual(policy.decisions, { allow: 1, deny: 2, error: 0 });
  assert.deepEqual(policy.codes, [
    { code: 'never_given', count: 0 },
    { code: 'too_many', count: 2 },
  ]);
  assert.equal(policy.other_reasons, 0);
  assert.equal(policy.revision, sidecar.events.at(-1)?.revision);
});
