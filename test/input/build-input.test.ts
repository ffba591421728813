import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAsked } from '../../src/input/ask/read.ts';
import { buildInput, type InputFacts } from '../../src/input/build-input.ts';
import { matchRoute } from '../../src/input/routes.ts';
import { withoutContent } from '../../src/input/without-content.ts';
import type { InputNeeds, Principal } from '../../src/types.ts';
import { assertRefused } from './refusals.ts';

const principal: Principal = {
  id: 'alice',
  kind: 'jwt',
  roles: ['analyst'],
  agentRole: undefined,
  permissions: ['read'],
  tenant: undefined,
  claims: { sub: 'alice' },
};
const everything: InputNeeds = { all: true, members: new Set() };

function needs(...members: string[]): InputNeeds {
  return { all: false, members: new Set(members) };
}

function facts(path: string, body: Record<string, unknown> | undefined, more: Partial<InputFacts> = {}): InputFacts {
  const route = matchRoute(body === undefined ? 'GET' : 'POST', path);
  const asked = route.request && body && readAsked(route.request, body);
  return {
    requestId: 'r1',
    decisionId: 'd1',
    route,
    method: body === undefined ? 'GET' : 'POST',
    principal,
    asked,
    clientIp: '127.0.0.1',
    rawHeaders: ['Host', 'x', 'User-Agent', 'curl/8'],
    nowNs: 1_700_000_000_000_000_000,
    rolePrecedence: [],
    ...more,
  };
}

const chatBody = {
  model: 'Llama3.2:latest',
  messages: [
    { role: 'system', content: 'be nice' },
    { role: 'user', content: 'hi' },
  ],
  options: { num_predict: 5 },
  keep_alive: '5m',
};

test('a chat becomes a whole document', () => {
  const ref = {
    raw: 'Llama3.2:latest',
    full: 'registry.ollama.ai/library/llama3.2:latest',
    host: 'registry.ollama.ai',
    namespace: 'library',
    name: 'llama3.2',
    tag: 'latest',
    source: 'local',
  };
  assert.deepEqual(buildInput(facts('/api/chat', chatBody), needs()), {
    version: 1,
    phase: 'request',
    request_id: 'r1',
    decision_id: 'd1',
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    path: '/api/chat',
    principal: { id: 'alice', kind: 'jwt', roles: ['analyst'], permissions: ['read'], claims: { sub: 'alice' } },
    agent_role: 'analyst',
    model: 'llama3.2',
    model_ref: ref,
    model_refs: [{ ...ref, part: 'model' }],
    stream: true,
    has_tools: false,
    server_tools: [],
    has_system_prompt: true,
    has_template: false,
    raw: false,
    has_context: false,
    debug: false,
    message_count: 2,
    has_images: false,
    image_count: 0,
    prompt_bytes: 9,
    estimated_tokens: 3,
    options: { num_predict: 5 },
    keep_alive: '5m',
    max_tokens: 5,
    client: { ip: '127.0.0.1', user_agent: 'curl/8' },
    now_ns: 1_700_000_000_000_000_000,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: 'POST',
    resource: 'ollama/llama3.2',
    llm_action: 'llm:chat.completions',
  });
});

test('a route without a body has a document without a model', () => {
  const input = buildInput(facts('/v1/models', undefined, { rawHeaders: [] }), everything);
  assert.deepEqual(Object.keys(input), [
    'version',
    'phase',
    'request_id',
    'decision_id',
    'api',
    'operation',
    'method',
    'path',
    'principal',
    'client',
    'now_ns',
    'mcp_server',
    'tool_name',
    'action',
    'resource',
    'llm_action',
    'agent_role',
  ]);
  assert.deepEqual([input.api, input.operation, input.resource], ['openai', 'models.list', 'ollama']);
  assert.deepEqual(input.client, { ip: '127.0.0.1' });
});

test('content is there only if the policy reads that member', () => {
  const chat = facts('/api/chat', chatBody);
  assert.equal('messages' in buildInput(chat, needs('model', 'agent_role', 'prompt')), false);
  assert.deepEqual(buildInput(chat, needs('messages')).messages, chatBody.messages);
  assert.deepEqual(buildInput(chat, everything).messages, chatBody.messages);

  const generate = facts('/api/generate', { model: 'x', prompt: 'p', system: 's', suffix: 'f', template: 't' });
  const content = (input: object) =>
    Object.keys(input).filter((name) => /^(prompt|system|suffix|template)$/.test(name));
  assert.deepEqual(content(buildInput(generate, needs())), []);
  assert.deepEqual(content(buildInput(generate, needs('prompt', 'template'))), ['prompt', 'template']);
  assert.deepEqual(content(buildInput(generate, everything)).sort(), ['prompt', 'suffix', 'system', 'template']);
});

test('no member is null or undefined', () => {
  const bare = facts('/v1/chat/completions', {
    model: 'x',
    messages: null,
    tools: null,
    stream: null,
    max_tokens: null,
  });
  for (const [name, value] of Object.entries(buildInput(bare, everything))) {
    assert.ok(value !== null && value !== undefined, name);
  }
  const roleless = { ...principal, roles: [], tenant: 't' };
  const input = buildInput({ ...bare, principal: roleless }, everything);
  assert.equal('agent_role' in input, false);
  assert.equal(input.principal.tenant, 't');
});

test('the names of tools are there where tools are', () => {
  const body = { ...chatBody, tools: [{ function: { name: 'shell' } }] };
  const input = buildInput(facts('/api/chat', body), needs());
  assert.deepEqual([input.has_tools, input.tools], [true, ['shell']]);
});

test('the agent role is the claim, else the only role', () => {
  const role = (more: Partial<Principal>, precedence: string[] = [], reads = everything) =>
    buildInput(
      { ...facts('/api/chat', chatBody), principal: { ...principal, ...more }, rolePrecedence: precedence },
      reads,
    ).agent_role;
  assert.equal(role({ agentRole: 'admin', roles: ['a', 'b'] }), 'admin');
  assert.equal(role({ roles: ['a'] }), 'a');
  assert.equal(role({ roles: ['a', 'a'] }), 'a');
  assert.equal(role({ roles: [] }), undefined);
  assert.equal(role({ roles: ['a', 'b'] }, ['x', 'b', 'a']), 'b');
  assert.equal(role({ roles: ['b', 'a'] }, ['x', 'b', 'a']), 'b');
});

test('several roles and no order are refused where the policy reads the role, and only there', () => {
  const several = { ...facts('/api/chat', chatBody), principal: { ...principal, roles: ['a', 'b'] } };
  assertRefused(() => buildInput(several, everything), 'ambiguous_agent_role');
  assertRefused(() => buildInput(several, needs('agent_role')), 'ambiguous_agent_role');
  assertRefused(() => buildInput({ ...several, rolePrecedence: ['c'] }, needs('agent_role')), 'ambiguous_agent_role');
  assert.equal('agent_role' in buildInput(several, needs('model')), false);
});

test("the caller's hints come from the body and from headers", () => {
  const rawHeaders = ['X-Opallama-Metadata-Cost-Center', '42', 'x-opallama-metadata-team', 'b'];
  const both = facts('/api/chat', { ...chatBody, metadata: { task: 'a' } }, { rawHeaders });
  assert.deepEqual(buildInput(both, needs()).metadata, { task: 'a', cost_center: '42', team: 'b' });
  assert.deepEqual(buildInput(facts('/api/tags', undefined, { rawHeaders }), needs()).metadata, {
    cost_center: '42',
    team: 'b',
  });
});

test('a hint that is given twice is refused', () => {
  const rawHeaders = ['x-opallama-metadata-task', 'b'];
  assertRefused(
    () => buildInput(facts('/api/chat', { ...chatBody, metadata: { task: 'a' } }, { rawHeaders }), needs()),
    'invalid_member',
  );
  const twice = ['x-opallama-metadata-a-b', '1', 'X-Opallama-Metadata-A_B', '2'];
  assertRefused(() => buildInput(facts('/api/tags', undefined, { rawHeaders: twice }), needs()), 'invalid_member');
});

test('a hint named like what objects inherit changes nothing but the hints', () => {
  const rawHeaders = ['x-opallama-metadata-__proto__', 'x'];
  const { metadata } = buildInput(facts('/api/tags', undefined, { rawHeaders }), needs());
  assert.deepEqual(Object.entries(metadata ?? {}), [['__proto__', 'x']]);
});

test('what is recorded of an input has no word of the text', () => {
  const secret = 'attack at dawn';
  const body = {
    model: 'x',
    messages: [{ role: 'user', content: secret, thinking: secret, images: [secret] }],
    tools: [{ function: { name: secret, description: secret } }, { function: { name: 'shell' } }],
    options: { stop: [secret], temperature: 0.5, [secret]: 1, mmap: true },
    format: { type: 'object', description: secret },
    keep_alive: secret,
    metadata: { team: 'blue', note: secret, [secret]: 1, deep: { secret } },
  };
  const rawHeaders = ['x-opallama-metadata-hint', secret];
  const recorded = JSON.parse(
    JSON.stringify(withoutContent(buildInput(facts('/api/chat', body, { rawHeaders }), everything))),
  );
  assert.doesNotMatch(JSON.stringify(recorded), /dawn/);
  assert.deepEqual(recorded.options, { temperature: 0.5, mmap: true });
  assert.deepEqual(recorded.metadata, { team: 'blue' });
  assert.deepEqual(recorded.tools, ['shell']);
  assert.deepEqual(recorded.erased, ['messages', 'tools', 'options', 'keep_alive', 'format', 'metadata']);
});

test('no text of a generate is recorded, and what is left out is named', () => {
  const text = { prompt: 'dawn 1', system: 'dawn 2', suffix: 'dawn 3', template: 'dawn 4' };
  const input = buildInput(facts('/api/generate', { model: 'x', ...text }), everything);
  const recorded = withoutContent(input);
  assert.doesNotMatch(JSON.stringify(recorded), /dawn/);
  assert.deepEqual(recorded.erased, ['prompt', 'system', 'suffix', 'template']);
});

test('an input without content is recorded as it is', () => {
  const input = buildInput(facts('/api/chat', { ...chatBody, format: 'json' }), needs());
  assert.deepEqual(JSON.parse(JSON.stringify(withoutContent(input))), input);
});

test('no array of the input is frozen, or every line of the record would be written at a fifth of the speed', () => {
  const requests: readonly (readonly [string, Record<string, unknown>])[] = [
    ['/api/chat', { ...chatBody, tools: [{ type: 'function', function: { name: 'find' } }] }],
    ['/v1/chat/completions', { ...chatBody, stop: ['a', 'b'] }],
    ['/api/copy', { source: 'a', destination: 'b' }],
    ['/api/show', { model: 'a', name: 'b' }],
  ];
  for (const [path, body] of requests) {
    const input = buildInput(facts(path, body), everything);
    const arrays = Object.entries(input).filter(([, value]) => Array.isArray(value) && value.length > 0);
    assert.ok(arrays.some(([name]) => name === 'model_refs'));
    assert.deepEqual(
      arrays.filter(([, value]) => Object.isFrozen(value)).map(([name]) => name),
      [],
      path,
    );
  }
});
