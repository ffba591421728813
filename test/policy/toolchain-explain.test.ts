import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ExplainRequest, Explanation } from '../../src/policy/toolchain/protocol.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { noModule, startToolchain } from './toolchain-fixture.ts';

const toolchain = startToolchain({ after });

const modules = {
  'authz.rego': `package ollama.authz

import data.ollama.grants

default allow := false

allow if {
	grants.granted
	input.operation == "chat"
}

deny contains {"code": "model_not_allowed", "message": message} if {
	not allow
	some ref in input.model_refs
	not grants.covers(ref)
	message := concat("", ["no role lists ", ref.name])
}

deny contains "too_long" if input.prompt_bytes > data.limits.prompt
`,
  'grants.rego': `package ollama.grants

granted if {
	every ref in input.model_refs {
		covers(ref)
	}
}

covers(ref) if {
	some role in input.principal.roles
	some pattern in data.roles[role].models
	glob.match(pattern, ["/"], ref.name)
}
`,
};
const data = { roles: { guest: { models: ['tiny*'] }, staff: { models: ['*'] } }, limits: { prompt: 100 } };
const guest = {
  operation: 'chat',
  principal: { roles: ['guest'] },
  model_refs: [{ name: 'llama3.2' }],
  prompt_bytes: 12,
};

function explain(request: Partial<ExplainRequest>): Promise<Explanation> {
  return toolchain.explain({ modules, data, entrypoint: 'ollama/authz', input: guest, ...request });
}

/** The evaluations of the rule whose head begins with this text. */
function evaluationsOf({ rules, evaluations }: Explanation, text: string) {
  return evaluations.filter(({ rule }) => rules[rule]?.text.startsWith(text));
}

test('a rule that did not hold says at which expression it ended, with the values there', {
  skip: noModule,
}, async () => {
  const [failed] = evaluationsOf(await explain({}), 'covers(ref)');
  assert.equal(failed?.held, false);
  assert.deepEqual(failed?.failures, [
    {
      file: 'grants.rego',
      row: 12,
      column: 2,
      text: 'glob.match(pattern, ["/"], ref.name)',
      bindings: [
        { name: 'pattern', value: 'tiny*' },
        { name: 'ref.name', value: 'llama3.2' },
      ],
      calls: [],
    },
  ]);
});

test('the way from a rule down to the one that it failed for can be followed', { skip: noModule }, async () => {
  const told = await explain({});
  const ways: string[] = [];
  let [evaluation] = evaluationsOf(told, 'allow if');
  while (evaluation !== undefined) {
    const [failure] = evaluation.failures;
    ways.push(`${failure?.file}:${failure?.row}`);
    const next = failure?.calls.map((call) => told.evaluations[call]).find((call) => call?.held === false);
    evaluation = next;
  }
  assert.deepEqual(ways, ['authz.rego:8', 'grants.rego:4', 'grants.rego:12']);
});

test('what was asked before is found again where it is remembered', { skip: noModule }, async () => {
  const told = await explain({ input: { ...guest, principal: { roles: ['staff'] } } });
  const [deny] = evaluationsOf(told, 'deny contains {"code"');
  const called = deny?.failures[0]?.calls.map((call) => told.rules[told.evaluations[call]?.rule ?? -1]?.path);
  assert.equal(deny?.failures[0]?.text, 'not allow');
  assert.ok(called?.includes('ollama/authz/allow'));
});

test('a rule that held says what it gave and what it saw', { skip: noModule }, async () => {
  const told = await explain({});
  const [deny] = evaluationsOf(told, 'deny contains {"code"');
  assert.deepEqual(deny?.values, [{ value: { code: 'model_not_allowed', message: 'no role lists llama3.2' } }]);
  assert.ok(deny?.bindings.some(({ name, value }) => name === 'ref.name' && value === 'llama3.2'));
  assert.deepEqual(
    told.rules
      .filter(({ held, default: isDefault }) => held > 0 && !isDefault)
      .map(({ file, row }) => `${file}:${row}`),
    ['authz.rego:12'],
  );
  assert.deepEqual(told.result, {
    allow: false,
    deny: [{ code: 'model_not_allowed', message: 'no role lists llama3.2' }],
  });
});

test('a member that is missing is said to be undefined', { skip: noModule }, async () => {
  const [failed] = evaluationsOf(await explain({ input: {} }), 'deny contains "too_long"');
  assert.deepEqual(failed?.failures[0]?.bindings, [
    { name: 'data.limits.prompt', value: 100 },
    { name: 'input.prompt_bytes', undefined: true },
  ]);
});

test('rules that an index would pass over are evaluated too', { skip: noModule }, async () => {
  const indexed = { 'a.rego': 'package a\n\nallow if input.x == 1\n\nallow if input.x == 2\n' };
  const told = await explain({ modules: indexed, entrypoint: 'a', input: { x: 3 }, data: {} });
  assert.deepEqual(
    told.rules.map(({ asked, held, row }) => [row, asked, held]),
    [
      [3, 1, 0],
      [5, 1, 0],
    ],
  );
});

const reading = {
  'a.rego': `package a

deny contains message if {
	contains(words, "secret")
	message := concat(" ", ["said", words])
}

deny contains "longer" if count(input.model) > 100

words := lower(said(input.prompt))

said(text) := text
`,
};

test('what may hold content is hidden: what is read, what is made of it, and what functions are given', {
  skip: noModule,
}, async () => {
  const request = {
    modules: reading,
    entrypoint: 'a',
    input: { prompt: 'My SECRET is Rumpelstilz', model: 'm' },
    data: {},
    trace: true,
  };
  const hidden = await explain({ ...request, content: ['prompt', 'messages'] });
  const { result, ...told } = hidden;
  assert.ok(JSON.stringify(result).includes('rumpelstilz'));
  assert.doesNotMatch(JSON.stringify(told), /rumpelstilz/i);
  assert.deepEqual(
    told.rules.map((rule) => rule.hidden),
    [true, false, true, true],
  );
  const [longer] = evaluationsOf(hidden, 'deny contains "longer"');
  assert.deepEqual(longer?.failures[0]?.bindings, [{ name: 'input.model', value: 'm' }]);

  const open = await explain(request);
  assert.match(JSON.stringify(open.evaluations), /Rumpelstilz/);
  assert.match(open.trace ?? '', /Rumpelstilz/);
});

test("the trace is OPA's own, and only there where it is asked for", { skip: noModule }, async () => {
  assert.equal((await explain({})).trace, undefined);
  const { trace } = await explain({ trace: true });
  assert.match(trace ?? '', /^ +Enter data\.ollama\.authz = _/);
  assert.match(trace ?? '', /grants\.rego:12 +\|.* Fail glob\.match\(pattern, \["\/"\], .*pattern: "tiny\*"/);
});

test('the clock is the one that is given', { skip: noModule }, async () => {
  const clock = { 'a.rego': 'package a\n\nx := time.now_ns()\n' };
  const told = await explain({ modules: clock, entrypoint: 'a/x', input: {}, data: {}, nowNs: 1_234_567_890 });
  assert.equal(told.result, 1_234_567_890);
});

test('nothing that is evaluated has no result, and an evaluation that fails says why', { skip: noModule }, async () => {
  const none = await explain({ entrypoint: 'ollama/grants/granted' });
  assert.equal(none.defined, false);
  assert.equal('result' in none, false);
  const conflict = { 'a.rego': 'package a\n\nx := 1 if input.a\n\nx := 2 if input.b\n' };
  const failed = await explain({ modules: conflict, entrypoint: 'a/x', input: { a: true, b: true }, data: {} });
  assert.match(failed.error ?? '', /conflict/);
});

test('a value that is large is cut', { skip: noModule }, async () => {
  const large = { limits: { prompt: Array.from({ length: 2000 }, (_, index) => index) } };
  const [failed] = evaluationsOf(
    await explain({ data: large, input: { prompt_bytes: 1 } }),
    'deny contains "too_long"',
  );
  const found = failed?.failures[0]?.bindings.find(({ name }) => name === 'data.limits.prompt');
  assert.equal(found?.cut?.length, 200);
  assert.equal(found !== undefined && 'value' in found, false);
});

test('an entrypoint that is not there, and Rego that does not compile, are refused with their codes', {
  skip: noModule,
}, async () => {
  await assert.rejects(explain({ entrypoint: 'no/such' }), /unknown_entrypoint/);
  await assert.rejects(
    explain({ modules: { 'a.rego': 'package a\n\nx if y\n' } }),
    /a\.rego:3:6: rego_compile_error|rego_unsafe_var_error/,
  );
});

test('where there is no tool chain, or only an opa command, explaining says what to do', async () => {
  const none = createToolchain({ path: undefined, wasmFile: '/nowhere' });
  await assert.rejects(none.explain({ modules, data, entrypoint: 'a', input: {} }), /npm run build:opa/);
});
