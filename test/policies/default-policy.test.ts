/** The shipped policy as it is loaded: compiled by OPA's tool chain, evaluated as WebAssembly, with the shipped roles. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { narrow } from '../../src/decision/narrow.ts';
import { resolveModelName, shortName } from '../../src/input/model-name.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { readPolicySource } from '../../src/policy/source.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import type { PolicyInput } from '../../src/types.ts';

const root = fileURLToPath(new URL('../../policies', import.meta.url));
const schema: unknown = JSON.parse(readFileSync(`${root}/schemas/input.json`, 'utf8'));
const codes = [
  'cloud_model_not_allowed',
  'management_not_allowed',
  'model_missing',
  'model_not_allowed',
  'no_role',
  'operation_not_allowed',
  'role_unknown',
  'server_tool_not_allowed',
  'server_tools_missing',
];

const toolchain = createToolchain({ path: process.env['PATH'] });
const skip =
  toolchain.kind === 'none' && 'neither opa/build/opa.wasm nor an opa on the PATH is here to compile the policy with';
after(() => toolchain.close());

async function load(path: string, entrypoint: string) {
  const prepared = await preparePolicy({ path, entrypoint, toolchain });
  return { prepared, loaded: await createWasmEngine().load(prepared.policy) };
}

/** Once for all tests: it runs the policy's own tests each time. */
let shipped: ReturnType<typeof load> | undefined;
function loadDefault(): ReturnType<typeof load> {
  shipped ??= load(root, 'ollama/authz');
  return shipped;
}

/** `operation` is any text, because the policy must deny those that this version does not have. */
function inputOf(roles: readonly string[], operation: string, model: string | undefined): PolicyInput {
  const ref = model === undefined ? undefined : resolveModelName(model);
  const input = {
    version: 1,
    phase: 'request',
    request_id: 'r',
    decision_id: 'd',
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    path: '/api/chat',
    principal: { id: 'someone', kind: 'jwt', roles, permissions: [], claims: {} },
    ...(ref === undefined ? {} : { model: shortName(ref), model_ref: ref, model_refs: [{ ...ref, part: 'model' }] }),
    server_tools: [],
    client: { ip: '127.0.0.1' },
    now_ns: 1,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: 'POST',
    resource: 'ollama',
    llm_action: 'llm:chat.completions',
  } satisfies PolicyInput;
  return Object.assign(input, { operation });
}

test('the shipped policy passes its own tests and reads nothing but roles, operation and models', {
  skip,
}, async () => {
  const { prepared, loaded } = await loadDefault();
  assert.ok(prepared.testsPassed > 40);
  assert.equal(loaded.reads.all, false);
  assert.deepEqual([...loaded.reads.members].sort(), ['model_refs', 'operation', 'principal', 'server_tools']);
  assert.equal(loaded.shape('ollama/authz'), 'allow');
  assert.deepEqual([...loaded.codes].sort(), codes);
});

test('the shipped roles grant what the table in policies/README.md says', { skip }, async () => {
  const { loaded } = await loadDefault();
  for (const [role, operation, model, expected] of [
    ['guest', 'root', undefined, 'allow'],
    ['guest', 'models.list', undefined, 'allow'],
    ['guest', 'chat', 'llama3.2', 'operation_not_allowed'],
    ['analyst', 'chat', 'llama3.2:1b', 'allow'],
    ['analyst', 'generate', 'registry.ollama.ai/library/LLAMA3.2:latest', 'allow'],
    ['analyst', 'chat', 'mistral', 'model_not_allowed'],
    ['analyst', 'chat', 'someone/llama3.2', 'model_not_allowed'],
    ['analyst', 'embed', 'nomic-embed-text', 'allow'],
    ['guest', 'embed', 'nomic-embed-text', 'operation_not_allowed'],
    ['developer', 'status', undefined, 'allow'],
    ['developer', 'models.ps', undefined, 'allow'],
    ['developer', 'aliases.list', undefined, 'management_not_allowed'],
    ['developer', 'aliases.create', 'llama3.2', 'management_not_allowed'],
    ['developer', 'account.show', undefined, 'management_not_allowed'],
    ['admin', 'aliases.create', 'llama3.2', 'allow'],
    ['admin', 'account.signout', undefined, 'allow'],
    ['developer', 'chat', 'practice', 'allow'],
    ['developer', 'generate', 'hf.co/someone/model:q4', 'allow'],
    ['developer', 'chat', 'gpt-oss:120b-cloud', 'cloud_model_not_allowed'],
    ['developer', 'models.delete', 'llama3.2', 'management_not_allowed'],
    ['developer', 'chat', undefined, 'model_missing'],
    ['admin', 'chat', 'gpt-oss:120b-cloud', 'allow'],
    ['admin', 'models.delete', 'llama3.2', 'allow'],
    ['admin', 'models.invented', 'llama3.2', 'management_not_allowed'],
    ['nobody', 'chat', 'llama3.2', 'role_unknown'],
    [undefined, 'root', undefined, 'no_role'],
  ] as const) {
    const input = inputOf(role === undefined ? [] : [role], operation, model);
    const results = await loaded.evaluate('ollama/authz', input);
    const { allowed, reasons } = narrow(results, { shape: 'allow', beyondDenyList: undefined });
    const got = allowed ? 'allow' : reasons.map(({ code }) => code).join();
    assert.equal(got, expected, `${role} ${operation} ${model}`);
  }
});

test('compiled, it gives a reason for every denial and none beside an allow, whatever the input', {
  skip,
}, async () => {
  const { loaded } = await loadDefault();
  const ref = { ...resolveModelName('llama3.2'), part: 'model' };
  const cloud = { ...resolveModelName('gpt-oss:120b-cloud'), part: 'model' };
  const roles = [
    [],
    ['x'],
    ['guest'],
    ['analyst', 'x'],
    ['developer'],
    ['admin'],
    ['guest', 'admin'],
    'admin',
    null,
    1,
  ];
  const operations = ['root', 'chat', 'models.list', 'models.delete', 'blobs.create', 'new', '*', '', null, 1, {}];
  const models = [[], [ref], [cloud], [ref, cloud], [{}], [{ ...ref, source: 'x' }], [null], {}, 'x', null, false];
  const counts = { allow: 0, deny: 0 };
  for (const principal of [...roles.map((names) => ({ roles: names })), {}, null, 'admin', undefined]) {
    for (const operation of [...operations, undefined]) {
      for (const model_refs of [...models, undefined]) {
        const input: PolicyInput = Object.assign(inputOf([], 'chat', 'llama3.2'), { principal, operation, model_refs });
        const { allowed, reasons } = narrow(await loaded.evaluate('ollama/authz', input), {
          shape: 'allow',
          beyondDenyList: undefined,
        });
        const shown = JSON.stringify({ principal, operation, model_refs });
        // A denial without a reason of the policy's own gets the code `policy_denied`.
        if (allowed) assert.deepEqual(reasons, [], shown);
        else assert.ok(reasons.length > 0 && reasons.every(({ code }) => codes.includes(code)), shown);
        counts[allowed ? 'allow' : 'deny'] += 1;
      }
    }
  }
  assert.ok(counts.allow > 40 && counts.deny > 1000, JSON.stringify(counts));
});

test('the shipped policy is formatted, strictly typed, and wholly covered by its tests', { skip }, async () => {
  const { modules, data } = await readPolicySource(root, { copies: 'kept' });
  const formatted = await toolchain.format({ modules });
  assert.deepEqual(formatted.changed, []);
  const schemas = { named: { input: schema } };
  assert.deepEqual((await toolchain.check({ modules, data, schemas })).faults, []);
  const { coverage } = await toolchain.test({ modules, data, coverage: true });
  assert.equal(coverage?.percent, 100);
});

test('the schema finds a member that is not there', { skip }, async () => {
  const { modules, data } = await readPolicySource(root, { copies: 'kept' });
  const file = 'ollama/grants/grants.rego';
  const slipped = (modules[file] ?? '').replace('input.principal.roles', 'input.principal.rolls');
  const { faults } = await toolchain.check({
    modules: { ...modules, [file]: slipped },
    data,
    schemas: { named: { input: schema } },
  });
  assert.ok(faults.some((fault) => fault.file === file && /rolls/.test(fault.message)));
});

test('every package and public rule has METADATA, every deny a code and a remedy', { skip }, async () => {
  const { modules, data } = await readPolicySource(root, { copies: 'kept' });
  const rego = Object.fromEntries(Object.entries(modules).filter(([file]) => !file.endsWith('_test.rego')));
  const { packages, rules, annotations } = await toolchain.inspect({ modules: rego, data });
  const titled = new Set(annotations.filter(({ title }) => title !== undefined).map(({ path }) => path));
  const isPublic = (path: string) => !path.split('/').some((segment) => segment.startsWith('_'));
  const library = ['control_zero', 'globs', 'hours', 'kubernetes', 'limits', 'models', 'permissions', 'roles', 'tools'];
  assert.deepEqual(packages, ['ollama/authz', 'ollama/grants', ...library.map((name) => `opallama/lib/${name}`)]);
  assert.deepEqual(
    [...packages, ...rules].filter((path) => isPublic(path) && !titled.has(path)),
    [],
  );
  const denials = annotations.filter(({ path }) => path === 'ollama/authz/deny');
  assert.deepEqual(denials.map(({ custom }) => custom['code']).sort(), codes);
  assert.ok(denials.every(({ custom }) => typeof custom['remediation'] === 'string'));
});

test('a deny-list written for another system decides unmodified', { skip }, async () => {
  const path = fileURLToPath(new URL('behavry', import.meta.url));
  const { loaded } = await load(path, 'behavry/authz');
  const shape = loaded.shape('behavry/authz');
  assert.equal(shape, 'deny_list');
  assert.deepEqual([...loaded.reads.members].sort(), ['agent_role', 'mcp_server', 'model']);
  for (const [agentRole, model, allowed] of [
    ['engineer', 'mistral', true],
    ['engineer', 'dolphin-mixtral', false],
    ['intern', 'llama3.2', true],
    ['intern', 'mistral', false],
    ['contractor', 'codellama:7b', false],
    ['engineer', 'codellama:7b', true],
  ] as const) {
    const input = { ...inputOf([agentRole], 'chat', model), agent_role: agentRole };
    const results = await loaded.evaluate('behavry/authz', input);
    assert.equal(narrow(results, { shape, beyondDenyList: undefined }).allowed, allowed, `${agentRole} ${model}`);
  }
});
