/** Never any text of a prompt or an answer in an event, wherever a caller or a policy puts it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAsked } from '../../src/input/ask/read.ts';
import { buildInput } from '../../src/input/build-input.ts';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import { matchRoute } from '../../src/input/routes.ts';
import type { Principal } from '../../src/types.ts';
import { createKeepingRecorder, decisionOf, judge } from './recording.ts';

const canary = 'the canary sings';
const tools = [
  {
    type: 'function',
    function: {
      name: canary,
      description: canary,
      parameters: { type: 'object', properties: { [canary]: { type: 'string', description: canary, enum: [canary] } } },
    },
  },
];
const call = { function: { name: canary, arguments: { [canary]: canary } } };

/** A canary in every place of a request that holds a text of the caller's choice. */
const requests: Readonly<Record<string, Record<string, unknown>>> = {
  '/api/chat': {
    model: 'tiny',
    messages: [
      { role: 'system', content: canary },
      { role: 'user', content: canary, images: [Buffer.from(canary).toString('base64')] },
      { role: 'assistant', content: canary, thinking: canary, tool_calls: [call] },
      { role: 'tool', content: canary, tool_name: canary, tool_call_id: canary },
    ],
    tools,
    format: { type: 'object', title: canary, properties: { [canary]: { const: canary } } },
    options: { stop: [canary], [canary]: canary, temperature: 0.5 },
    keep_alive: '5m',
    metadata: { [canary]: 1, note: canary },
    unknown_member: canary,
  },
  '/api/generate': {
    model: 'tiny',
    prompt: canary,
    suffix: canary,
    system: canary,
    template: canary,
    images: [Buffer.from(canary).toString('base64')],
    format: { description: canary },
    options: { stop: canary },
    context: [1, 2],
  },
  '/v1/chat/completions': {
    model: 'tiny',
    messages: [
      { role: 'developer', content: canary },
      { role: 'user', content: [{ type: 'text', text: canary }], name: canary },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: canary, type: 'function', function: { name: canary, arguments: JSON.stringify({ [canary]: canary }) } },
        ],
      },
      { role: 'tool', tool_call_id: canary, content: canary },
    ],
    tools,
    stop: [canary],
    response_format: {
      type: 'json_schema',
      json_schema: { name: canary, description: canary, schema: { title: canary } },
    },
    metadata: { [canary]: canary },
    user: canary,
  },
};

const alice: Principal = {
  id: 'alice',
  kind: 'jwt',
  roles: ['developer'],
  agentRole: undefined,
  permissions: [],
  tenant: undefined,
  claims: {},
};

function inputOf(path: string, rawHeaders: readonly string[] = []) {
  const route = matchRoute('POST', path);
  assert.ok(route.request !== undefined);
  const { value } = guardJson(Buffer.from(JSON.stringify(requests[path])), knownMembers[route.request]);
  const facts = {
    requestId: 'r',
    decisionId: 'd',
    route,
    method: 'POST',
    principal: alice,
    asked: readAsked(route.request, value),
    clientIp: '127.0.0.1',
    rawHeaders,
    nowNs: 1,
    rolePrecedence: [],
  };
  // As for a policy that reads everything: then all of it is in the document.
  return { route, input: buildInput(facts, { all: true, members: new Set() }) };
}

/** What a policy could write of what it read. */
const told = decisionOf({
  allowed: false,
  result: 'deny',
  httpStatus: 403,
  reasons: [
    { code: 'policy_denied', message: canary },
    { code: 'declared_code', message: canary },
    { code: 'canary_as_a_code', message: canary },
    { code: 'policy_malformed', message: canary },
  ],
  body: canary,
  headers: { 'x-note': canary },
  responseHeadersToAdd: { 'x-note': canary },
  dynamicMetadata: { note: canary, [canary]: 1 },
});

for (const path of Object.keys(requests)) {
  test(`no text of a request to ${path} is in its event, even where the policy reads all of it and repeats it`, () => {
    const { begin, events } = createKeepingRecorder();
    const { route, input } = inputOf(path, ['x-opallama-metadata-other', canary]);
    assert.ok(JSON.stringify(input).includes(canary), 'the policy saw it');
    const record = begin({ requestId: 'r', api: route.api, method: 'POST' });
    record.identified(alice);
    record.routed(route);
    record.asked(input);
    record.decided(told, { ...judge, readsContent: true });
    record.finish({ outcome: 'denied', status: 403 });
    const json = JSON.stringify(events);
    assert.doesNotMatch(json, /canary/);
    assert.ok(!json.includes(Buffer.from(canary).toString('base64')));
    assert.deepEqual(events[0]?.reasons, ['policy_denied', 'declared_code', 'policy_denied', 'policy_malformed']);
    assert.equal('dynamic_metadata' in (events[0] ?? {}), false);
    // It says that something was left out.
    assert.ok(Array.isArray(events[0]?.input?.['erased']));
  });
}

test('where a policy reads no content, its codes and its metadata are recorded, its messages are not', () => {
  const { begin, events } = createKeepingRecorder();
  const record = begin({ requestId: 'r', api: 'ollama', method: 'POST' });
  record.decided(
    decisionOf({ ...told, reasons: [{ code: 'own_code', message: canary }], dynamicMetadata: { team: 'a' } }),
    judge,
  );
  record.finish({ outcome: 'denied', status: 403 });
  assert.deepEqual(events[0]?.reasons, ['own_code']);
  assert.deepEqual(events[0]?.dynamic_metadata, { team: 'a' });
  assert.doesNotMatch(JSON.stringify(events), /canary/);
});
