/** How requests become questions to Cedar, what its answers become, and what is refused when a policy is loaded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createCedarEngine } from '../../../src/decision/engines/cedar.ts';
import { narrow } from '../../../src/decision/narrow.ts';
import { PolicyError } from '../../../src/errors.ts';
import { resolveModelName } from '../../../src/input/model-name.ts';
import type { LoadedPolicy, NamedModel, PolicyInput, PolicySet } from '../../../src/types.ts';
import { policyInput } from '../input.ts';

type Files = Readonly<Record<string, string>>;

function load(files: Files | string): Promise<LoadedPolicy> {
  const all = typeof files === 'string' ? { 'policy.cedar': files } : files;
  const policy: PolicySet = {
    revision: 'r1',
    wasm: undefined,
    modules: {},
    files: new Map(Object.entries(all).map(([name, text]) => [name, Buffer.from(text)])),
    data: {},
    entrypoints: ['suite'],
    reads: { all: true, members: new Set() },
    shapes: new Map(),
    codes: new Set(),
    deterministic: false,
  };
  return createCedarEngine().load(policy);
}

async function faultsOf(files: Files | string): Promise<readonly string[]> {
  const error = await load(files).then(
    () => assert.fail('the policy was loaded'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PolicyError, String(error));
  return error.faults.map(({ file, row, column, code, message }) => `${file}:${row}:${column}: ${code}: ${message}`);
}

/** What a condition is for a request: `allow`, `deny`, or the failure. */
async function holds(condition: string, over: Partial<PolicyInput> = {}, files: Files = {}): Promise<string> {
  const loaded = await load({
    ...files,
    'policy.cedar': `permit (principal, action, resource) when { ${condition} };`,
  });
  return decide(loaded, over);
}

async function decide(loaded: LoadedPolicy, over: Partial<PolicyInput> = {}): Promise<string> {
  try {
    const [result] = await loaded.evaluate('suite', policyInput(over));
    return narrow([result], { shape: 'allow', beyondDenyList: undefined }).allowed ? 'allow' : 'deny';
  } catch (error) {
    return error instanceof Error ? `fails: ${error.message}` : 'fails';
  }
}

const ref = (name: string): NamedModel => ({ ...resolveModelName(name), part: 'model' });

// Questions

for (const [condition, over] of [
  ['principal == Opallama::Principal::"alice" && principal.kind == "jwt"', {}],
  ['principal in Opallama::Role::"developer" && principal.roles.contains("developer")', {}],
  [
    'principal in Opallama::Tenant::"blue" && principal.tenant == "blue"',
    { principal: { id: 'a', kind: 'jwt', roles: [], permissions: [], tenant: 'blue', claims: {} } },
  ],
  [
    'principal.claims.org.unit == "x" && principal.claims.level == 3',
    {
      principal: {
        id: 'a',
        kind: 'jwt',
        roles: [],
        permissions: [],
        claims: { org: { unit: 'x', none: null }, level: 3 },
      },
    },
  ],
  ['action == Opallama::Action::"chat" && action in Opallama::Action::"run" && action in Opallama::Action::"use"', {}],
  ['action in Opallama::Action::"manage" && !(action in Opallama::Action::"use")', { operation: 'models.pull' }],
  ['resource == Opallama::Model::"llama3.2" && resource is Opallama::Model', { model_refs: [ref('LLAMA3.2:latest')] }],
  ['resource in Opallama::Server::"ollama" && resource.short == "hf.co/a/b:q4"', { model_refs: [ref('hf.co/a/b:q4')] }],
  ['resource.source == "cloud" && resource.tag like "*-cloud"', { model_refs: [ref('gpt-oss:120b-cloud')] }],
  ['context.client.ip.isInRange(ip("10.0.0.0/8"))', { client: { ip: '::ffff:10.1.2.3' } }],
  [
    'context.client.ip.isIpv6() && context.client.user_agent == "x"',
    { client: { ip: 'fe80::1%eth0', user_agent: 'x' } },
  ],
  ['!(context.client has ip)', { client: { ip: '' } }],
  ['context.now == datetime("2025-06-15T15:06:40.000Z") && context.now_ns == 1750000000000000000', {}],
  ['context.options.temperature.lessThan(decimal("0.71"))', { options: { temperature: 0.7 } }],
  ['context.options.temperature == decimal("1.0")', { options: { temperature: 1 } }],
  ['context.options.num_predict == 128 && context.options.top_k == 3', { options: { num_predict: 128, top_k: 3 } }],
  ['context.options.x == decimal("0.3333")', { options: { x: 1 / 3 } }],
  ['context.options.temperature.greaterThan(decimal("9000.0"))', { options: { temperature: 1e300 } }],
  ['context.options.num_predict > 9000000000000000000', { options: { num_predict: 1e300 } }],
  ['context.options.num_predict < -9000000000000000000', { options: { num_predict: -1e300 } }],
  ['context.options.stop == ["a"] && !(context.options has seed)', { options: { stop: ['a', null], seed: null } }],
  ['context.metadata == {a: 1}', { metadata: { a: 1, __entity: { type: 'Opallama::Role', id: 'admin' } } }],
  ['context.metadata == {a: {}}', { metadata: { a: { __extn: { fn: 'ip', arg: 'no' }, __expr: '1' } } }],
  ['context.tools.containsAll(["a", "b"])', { tools: ['b', 'a', 'b'] }],
] as ReadonlyArray<[string, Partial<PolicyInput>]>) {
  test(`a request has ${condition}`, async () => {
    assert.equal(await holds(condition, over), 'allow');
  });
}

test('a caller can not write an entity into the request', async () => {
  const forged = { __entity: { type: 'Opallama::Role', id: 'admin' } };
  const policy = 'permit (principal, action, resource) when { context.metadata.role == Opallama::Role::"admin" };';
  assert.equal(await decide(await load(policy), { metadata: { role: forged } }), 'deny');
  const claimed = 'permit (principal, action, resource) when { principal.claims.role == Opallama::Role::"admin" };';
  const principal = { id: 'a', kind: 'jwt', roles: [], permissions: [], claims: { role: forged } };
  assert.equal(await decide(await load(claimed), { principal }), 'deny');
});

test('a request without a model is about the server', async () => {
  const { model: _, ...input } = policyInput({ operation: 'models.list' });
  const loaded = await load('permit (principal, action, resource == Opallama::Server::"ollama");');
  assert.deepEqual(await loaded.evaluate('suite', input), [{ allow: true }]);
});

test('of several models each is asked for, and all must be allowed', async () => {
  const loaded = await load(`permit (principal, action, resource == Opallama::Model::"a");
@dynamic_metadata("{\\"b\\": true}")
permit (principal, action, resource == Opallama::Model::"b");
@reason("no_c")
forbid (principal, action, resource == Opallama::Model::"c");
@reason("no_d")
forbid (principal, action, resource == Opallama::Model::"d");`);
  const ask = async (...names: readonly string[]) =>
    (await loaded.evaluate('suite', policyInput({ model_refs: names.map(ref) })))[0];
  assert.deepEqual(await ask('a', 'b'), { allow: true, dynamic_metadata: { b: true } });
  assert.deepEqual(await ask('a', 'e'), { allow: false });
  assert.deepEqual(await ask('b', 'c', 'd'), {
    allow: false,
    deny: [
      { code: 'no_c', message: 'no_c' },
      { code: 'no_d', message: 'no_d' },
    ],
  });
});

test('entities are followed along parents, attributes and names in policies', async () => {
  const entities = JSON.stringify([
    { uid: { type: 'Opallama::Role', id: 'developer' }, parents: [{ type: 'Team', id: 'blue' }] },
    {
      uid: { type: 'Team', id: 'blue' },
      attrs: { lead: { __entity: { type: 'Person', id: 'bea' } } },
      parents: [{ type: 'Org', id: 'acme' }],
    },
    { uid: { __entity: { type: 'Person', id: 'bea' } }, attrs: { level: 7 }, parents: [{ type: 'Team', id: 'red' }] },
    {
      uid: { type: 'Opallama::Principal', id: 'alice' },
      attrs: { team: { __entity: { type: 'Team', id: 'blue' } }, kind: 'forged' },
    },
    {
      uid: { type: 'Opallama::Model', id: 'llama3.2' },
      attrs: { owner: 'x' },
      parents: [{ type: 'Team', id: 'blue' }],
    },
    { uid: { type: 'Limits', id: 'all' }, attrs: { messages: 5 } },
  ]);
  for (const condition of [
    'principal in Org::"acme"',
    'principal.team.lead.level == 7',
    'principal.team.lead in Team::"red"',
    'Team::"blue" in Org::"acme" && Team::"blue".lead.level == 7',
    'resource in Org::"acme" && resource.owner == "x"',
    'Limits::"all".messages == 5',
    '(if context.model == "x" then Limits::"x" else Limits::"all").messages == 5',
    // What the sidecar verified goes over what a file says.
    'principal.kind == "jwt"',
  ]) {
    assert.equal(await holds(condition, {}, { 'entities.json': entities }), 'allow', condition);
  }
});

test('integers that JavaScript would round keep their digits', async () => {
  const claims = {
    id: JSON.rawJSON('9007199254740993'),
    low: JSON.rawJSON('-9223372036854775808'),
    much: JSON.rawJSON('1e300'),
  };
  const principal = { id: 'a', kind: 'jwt', roles: [], permissions: [], claims };
  for (const condition of [
    'principal.claims.id == 9007199254740993',
    'principal.claims.low == -9223372036854775808',
    'principal.claims.much > 9000000000000000000',
  ]) {
    assert.equal(await holds(condition, { principal }), 'allow', condition);
  }
  const entities = '[{ "uid": { "type": "Limits", "id": "all" }, "attrs": { "id": 9007199254740993 } }]';
  assert.equal(await holds('Limits::"all".id == 9007199254740993', {}, { 'entities.json': entities }), 'allow');
});

// Answers

test('a policy that fails fails the decision, although another one permits', async () => {
  const loaded = await load(`permit (principal, action, resource);
forbid (principal, action, resource) when { context.options.top_k > 10 };`);
  assert.equal(await decide(loaded, { options: { top_k: 1 } }), 'allow');
  assert.equal(await decide(loaded, { options: { top_k: 11 } }), 'deny');
  assert.match(await decide(loaded, { options: { top_k: 'many' } }), /^fails: The policy policy.cedar#1 failed/);
  assert.match(await decide(loaded, { options: {} }), /^fails: The policy policy.cedar#1 failed/);
  assert.match(await decide(loaded), /^fails/);
});

test('what Cedar itself can not take fails the decision, and the next one is decided', async () => {
  const loaded = await load('permit (principal, action, resource) when { context has metadata };');
  const deep = (levels: number): Record<string, unknown> => (levels === 0 ? {} : { a: deep(levels - 1) });
  for (const metadata of [deep(500), { text: '\ud800' }]) {
    assert.equal(await decide(loaded, { metadata }), 'fails: Cedar could not evaluate the request.');
    assert.equal(await decide(loaded, { metadata: {} }), 'allow');
  }
});

test('policies that decide together ask for everything that each of them asks for', async () => {
  const loaded = await load(`@obligations("{\\"limits\\": [{\\"key\\": \\"a\\"}], \\"priority\\": 1}")
permit (principal, action, resource);
@obligations("{\\"limits\\": [{\\"key\\": \\"b\\"}], \\"priority\\": 1}")
permit (principal, action == Opallama::Action::"chat", resource);
@obligations("{\\"priority\\": 2}")
permit (principal, action, resource == Opallama::Model::"other");`);
  assert.deepEqual(await loaded.evaluate('suite', policyInput()), [
    { allow: true, obligations: { limits: [{ key: 'a' }, { key: 'b' }], priority: 1 } },
  ]);
  assert.match(
    await decide(loaded, { model: 'other' }),
    /^fails: Two policies that decided give "priority" different values/,
  );
});

test('what is read is what policies mention', async () => {
  const base = ['model', 'model_refs', 'operation', 'principal'];
  for (const [condition, members] of [
    ['true', base],
    ['context.stream && context has prompt && context has options.seed', [...base, 'options', 'prompt', 'stream']],
    ['context["has_tools"] && context.now > datetime("2024-01-01")', [...base, 'has_tools', 'now_ns']],
  ] as const) {
    const loaded = await load(`permit (principal, action, resource) when { ${condition} };`);
    assert.deepEqual([...loaded.reads.members].toSorted(), members.toSorted());
    assert.equal(loaded.reads.all, false);
  }
  const whole = await load('permit (principal, action, resource) when { context == principal.x };');
  assert.ok(whole.reads.members.has('messages') && whole.reads.members.has('agent_role'));
});

// What is refused

for (const [title, files, expected] of [
  [
    'text that is no policy',
    '// größer\npermit (principal, actoin, resource);',
    [
      'policy.cedar:2:20: cedar_parse: found an invalid variable in the policy scope: actoin; policy scopes must contain a `principal`, `action`, and `resource` element in that order',
    ],
  ],
  [
    'an unknown attribute',
    'permit (principal, action, resource)\nwhen { context.modle == "x" };',
    ['policy.cedar:1:1: cedar_unknown: context has no "modle"; docs/cedar.md lists what it has'],
  ],
  [
    'an unknown action',
    '\n\nforbid (principal, action == Opallama::Action::"models.remove", resource);',
    ['policy.cedar:3:1: cedar_unknown: there is no action Opallama::Action::"models.remove"'],
  ],
  [
    'a type without its namespace',
    'permit (principal in Role::"x", action, resource);',
    ['policy.cedar:1:1: cedar_unknown: write Opallama::Role; the type Role alone is another one'],
  ],
  [
    'a template',
    'permit (principal, action, resource);\npermit (principal == ?principal, action, resource);',
    ['policy.cedar:2:1: cedar_template: templates are not supported; write a policy'],
  ],
  [
    'two policies of one id',
    {
      'a.cedar': '@id("x")\npermit (principal, action, resource);',
      'b.cedar': '\n@id("x")\nforbid (principal, action, resource);',
    },
    ['b.cedar:2:1: cedar_duplicate: another policy has the id "x"'],
  ],
  [
    'a code that is none',
    '@reason("Not allowed!")\nforbid (principal, action, resource);',
    [
      'policy.cedar:1:1: cedar_annotation: @reason("Not allowed!") must be a code such as "model_not_allowed"; text goes into @message',
    ],
  ],
  [
    'an annotation without a value',
    '@reason\nforbid (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @reason needs a value: @reason("...")'],
  ],
  [
    'a slip in an annotation',
    '@obligation("{}")\npermit (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @obligation is unknown; did you mean @obligations?'],
  ],
  [
    'another slip',
    '@reasn("x")\nforbid (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @reasn is unknown; did you mean @reason?'],
  ],
  [
    'an obligation that is no JSON',
    '@obligations("limits")\npermit (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @obligations must be a JSON object'],
  ],
  [
    'an obligation of a forbid',
    '@obligations("{}")\nforbid (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @obligations has no effect on a forbid; remove it'],
  ],
  [
    'a status that is no denial',
    '@http_status("200")\nforbid (principal, action, resource);',
    ['policy.cedar:1:1: cedar_annotation: @http_status must be a whole number from 400 to 499'],
  ],
  [
    'entities that are no JSON',
    { 'p.cedar': 'permit (principal, action, resource);', 'x/entities.json': '[\n  {]' },
    /^x\/entities\.json:2:4: cedar_entities: /,
  ],
  [
    'an entity without a name',
    { 'p.cedar': 'permit (principal, action, resource);', 'entities.json': '[{"uid": "x"}]' },
    ['entities.json:undefined:undefined: cedar_entities: entity 1 needs "uid": {"type": "...", "id": "..."}'],
  ],
  [
    'an entity that is there twice',
    {
      'p.cedar': 'permit (principal, action, resource);',
      'entities.json': '[{"uid": {"type": "A", "id": "x"}}, {"uid": {"type": "A", "id": "x"}, "attrs": {"a": 1}}]',
    },
    ['entities.json:undefined:undefined: cedar_entities: duplicate entity entry `A::"x"`'],
  ],
  [
    "an action of the policy's own",
    {
      'p.cedar': 'permit (principal, action, resource);',
      'entities.json': '[{"uid": {"type": "Opallama::Action", "id": "chat"}}]',
    },
    ["entities.json:undefined:undefined: cedar_entities: entity 1 is an action; those are the sidecar's own"],
  ],
  [
    'a null',
    {
      'p.cedar': 'permit (principal, action, resource);',
      'entities.json': '[{"uid": {"type": "A", "id": "x"}, "attrs": {"a": null}}]',
    },
    /cedar_entities: .*null/,
  ],
  [
    'a schema that is none',
    { 'p.cedar': 'permit (principal, action, resource);', 's.cedarschema': 'namespace A {\n  entity B inn [C];\n}' },
    /^s\.cedarschema:2:12: cedar_schema: .*unexpected token `inn`/,
  ],
  [
    'two schemas',
    { 'p.cedar': 'permit (principal, action, resource);', 'a.cedarschema': '', 'b.cedarschema': '' },
    /there is another schema, b\.cedarschema/,
  ],
  [
    'a policy that does not fit its schema',
    {
      'p.cedar': '// first\npermit (principal, action, resource)\nwhen { principal.age > 3 };',
      's.cedarschema': 'entity P { name: String }; entity R; action a appliesTo { principal: P, resource: R };',
    },
    ['p.cedar:3:8: cedar_invalid: attribute `age` on entity type `P` not found; did you mean `name`?'],
  ],
  [
    'a policy that can never apply',
    {
      'p.cedar': 'permit (principal, action, resource);\nforbid (principal, action, resource) when { false };',
      's.cedarschema': 'entity P; entity R; action a appliesTo { principal: P, resource: R };',
    },
    [
      'p.cedar:2:1: cedar_invalid: policy is impossible: the policy expression evaluates to false for all valid requests',
    ],
  ],
] as ReadonlyArray<[string, Files | string, readonly string[] | RegExp]>) {
  test(`${title} is refused with its place`, async () => {
    const faults = await faultsOf(files);
    if (expected instanceof RegExp) assert.match(faults.join('\n'), expected);
    else assert.deepEqual(faults, expected);
  });
}

test('a directory without a policy is refused', async () => {
  for (const files of [{}, { 'a.cedar': '' }, { 'policy.rego': 'package a' }])
    await assert.rejects(load(files), PolicyError);
});

test('a policy that is nested too deeply is refused, and harms no other', async () => {
  const nested = `permit (principal, action, resource) when { ${'('.repeat(5000)}true${')'.repeat(5000)} };`;
  assert.deepEqual(await faultsOf(nested), ['policy.cedar:1:1: cedar_parse: is nested too deeply']);
  assert.equal(await holds('true'), 'allow');
});

test("annotations of the author's own are left alone", async () => {
  const loaded = await load('@owner("team blue")\n@ticket("A-1")\n@id("first")\npermit (principal, action, resource);');
  assert.equal(await decide(loaded), 'allow');
});
