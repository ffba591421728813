/** The newer dialects and the embeddings, as Ollama 0.17.4 converts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAsked } from '../../src/input/ask/read.ts';
import type { RequestType } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

function ask(type: RequestType, body: object) {
  const asked = readAsked(type, { model: 'tiny', ...body });
  assert.ok(asked.kind === 'prompt');
  return asked;
}
const responses = (body: object) => ask('openai.responses', body);
const messages = (body: object) => ask('anthropic.messages', body);

const prompts: readonly RequestType[] = [
  'ollama.embed',
  'ollama.embeddings',
  'openai.completion',
  'openai.embed',
  'openai.responses',
  'openai.image',
  'openai.image_edit',
  'anthropic.messages',
];

test('each needs a model that is a name', () => {
  for (const type of prompts) {
    for (const model of [undefined, null, '', 5, ['tiny'], {}])
      assertRefused(() => readAsked(type, model === undefined ? {} : { model }), 'missing_model', type);
    assertRefused(() => readAsked(type, { model: 'tiny:' }), 'invalid_model');
    assert.equal(ask(type, {}).model.name, 'tiny');
  }
});

test('they stream only if told to, and embeddings and pictures never', () => {
  for (const type of ['openai.completion', 'openai.responses', 'anthropic.messages'] as const) {
    for (const stream of [undefined, null, false]) assert.equal(ask(type, { stream }).stream, false);
    assert.equal(ask(type, { stream: true }).stream, true);
    assertRefused(() => ask(type, { stream: 1 }), 'invalid_member');
  }
  for (const type of ['ollama.embed', 'ollama.embeddings', 'openai.embed', 'openai.image'] as const)
    assert.equal(ask(type, { stream: true }).stream, false);
});

test('embeddings are of one text or several, which policy reads as the prompt', () => {
  for (const type of ['ollama.embed', 'openai.embed'] as const) {
    const one = ask(type, { input: 'aé' });
    assert.deepEqual([one.messageCount, one.promptBytes, one.content.prompt], [1, 3, 'aé']);
    const several = ask(type, { input: ['a', '', 'bc'] });
    assert.deepEqual([several.messageCount, several.promptBytes], [2, 3]);
    assert.deepEqual(several.content.prompt, ['a', '', 'bc']);
    for (const none of [undefined, null, '', []]) assert.equal(ask(type, { input: none }).messageCount, 0);
    for (const other of [5, {}, [1, 2], [[1]], ['a', null]])
      assertRefused(() => ask(type, { input: other }), 'invalid_member');
  }
  assert.equal(ask('ollama.embeddings', { prompt: 'abc' }).content.prompt, 'abc');
  assert.deepEqual(ask('ollama.embed', { options: { num_ctx: 1 }, keep_alive: 0 }).options, { num_ctx: 1 });
  assert.equal(ask('openai.embed', { options: { num_ctx: 1 }, keep_alive: 0 }).options, undefined);
});

test('a completion has a prompt and a suffix', () => {
  const asked = ask('openai.completion', { prompt: 'ab', suffix: 'c', max_tokens: 5, _debug_render_only: true });
  assert.deepEqual([asked.messageCount, asked.promptBytes, asked.maxTokens, asked.debug], [1, 3, 5, true]);
  assert.deepEqual(asked.content, { prompt: 'ab', suffix: 'c' });
  assert.equal(ask('openai.completion', { stream_options: { include_usage: true } }).includeUsage, true);
  assertRefused(() => ask('openai.completion', { prompt: ['a'] }), 'invalid_member');
});

test('a picture to edit is an image', () => {
  assert.equal(ask('openai.image_edit', { prompt: 'p', image: 'data:image/png;base64,QQ==' }).imageCount, 1);
  assert.equal(ask('openai.image', { prompt: 'p' }).imageCount, 0);
});

test('the input of responses is a text or a conversation, and policy reads one', () => {
  assert.deepEqual(responses({ input: 'hi' }).content.messages, [{ role: 'user', content: 'hi' }]);
  for (const none of [undefined, null, '', []]) assert.deepEqual(responses({ input: none }).content.messages, []);
  const asked = responses({
    instructions: 'brief',
    input: [
      { role: 'USER', content: 'a' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'bc' }] },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'd' },
          { type: 'input_image', image_url: 'data:;base64,QQ==' },
        ],
      },
      { type: 'reasoning', encrypted_content: 'think' },
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'out' },
    ],
  });
  const read: unknown = asked.content.messages;
  assert.ok(Array.isArray(read));
  assert.deepEqual(
    read.map(({ role }) => role),
    ['user', 'assistant', 'user', 'assistant', 'assistant', 'tool'],
  );
  assert.deepEqual([read[3].thinking, read[5].content], ['think', 'out']);
  assert.equal(asked.content.system, 'brief');
  assert.deepEqual([asked.hasSystemPrompt, asked.messageCount, asked.imageCount], [true, 7, 1]);
  assert.equal(asked.promptBytes, 5 + 1 + 2 + 1 + 5 + 3 + 3);
});

test('a system prompt hides in no item of responses', () => {
  assert.equal(responses({ input: [{ role: 'user', content: 'x' }] }).hasSystemPrompt, false);
  for (const role of ['system', 'SYSTEM', 'developer'])
    assert.equal(responses({ input: [{ type: 'message', role, content: 'x' }] }).hasSystemPrompt, true);
  assertRefused(() => responses({ input: [{ role: 'ſystem', content: 'x' }] }), 'invalid_member');
});

test('items and parts that Ollama refuses are refused', () => {
  for (const input of [
    5,
    {},
    ['x'],
    [null],
    [{}],
    [{ type: 'item_reference', id: 'x' }],
    [{ role: 'user', content: 5 }],
    [{ role: 'user', content: [null] }],
    [{ role: 'user', content: [{ type: 'input_file' }] }],
    [{ role: 'user', content: [{ type: 'input_text', text: 5 }] }],
    [{ type: 'function_call', arguments: {} }],
    [{ type: 'function_call_output', output: [] }],
  ]) {
    assertRefused(() => responses({ input }), 'invalid_member', JSON.stringify(input));
  }
});

test('the limit, the format and the tools of responses have names of their own', () => {
  const schema = { type: 'object' };
  const asked = responses({
    max_output_tokens: 9,
    max_tokens: 5,
    tools: [{ type: 'function', name: 'f' }],
    text: { format: { type: 'json_schema', name: 'n', schema } },
  });
  assert.deepEqual([asked.maxTokens, asked.format, asked.toolNames], [9, schema, ['f']]);
  assert.equal(responses({ text: { format: { type: 'text', schema } } }).format, undefined);
  assert.equal(responses({ text: null, tools: [] }).hasTools, false);
});

test('the system prompt of messages is a text, or the texts of blocks', () => {
  assert.equal(messages({}).hasSystemPrompt, false);
  for (const none of ['', [], null, 5, [{ type: 'text', text: '' }], [{ type: 'image', text: 'x' }]])
    assert.equal(messages({ system: none }).hasSystemPrompt, false, JSON.stringify(none));
  const asked = messages({ system: [{ type: 'text', text: 'a' }, 'x', { type: 'text', text: 'b' }] });
  assert.deepEqual([asked.hasSystemPrompt, asked.content.system, asked.messageCount], [true, 'ab', 1]);
  assert.equal(messages({ messages: [{ role: 'System', content: 'x' }] }).hasSystemPrompt, true);
});

test('the content of messages is measured block by block', () => {
  const asked = messages({
    max_tokens: 64,
    messages: [
      { role: 'user', content: 'a' },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'bc' },
          { type: 'thinking', thinking: 'def' },
          { type: 'tool_use', id: 'i', name: 'f', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'i', content: [{ type: 'text', text: 'gh' }] },
          { type: 'tool_result', content: 'i' },
          { type: 'image', source: { type: 'base64', data: 'QQ==' } },
          { type: 'unknown', text: 'xxxx' },
        ],
      },
    ],
  });
  assert.deepEqual([asked.messageCount, asked.imageCount, asked.maxTokens], [3, 1, 64]);
  assert.equal(asked.promptBytes, 1 + 2 + 3 + 3 + 2 + 1);
  for (const content of [undefined, null, 5, {}, ['x'], [null]])
    assertRefused(() => messages({ messages: [{ role: 'user', content }] }), 'invalid_member');
});

test("Ollama's own search is a tool of that name, whatever the caller calls it", () => {
  const tools = [
    { name: 'f', input_schema: {} },
    { type: 'web_search_20250305', name: 'harmless' },
  ];
  const asked = messages({ tools: [...tools, { type: 'web_search', name: '' }] });
  assert.deepEqual([asked.toolNames, asked.serverTools], [['f', 'web_search', 'web_search'], ['web_search']]);
  // By its type alone, in that very spelling: `anthropic.convertTool`.
  const own = messages({
    tools: [{ name: 'web_search' }, { type: 'Web_search', name: 'g' }, { type: 'custom', name: 'h' }],
  });
  assert.deepEqual([own.toolNames, own.serverTools], [['web_search', 'g', 'h'], []]);
  assert.equal(messages({ tools: [] }).hasTools, false);
});

test('a tool whose name breaks its line is refused in every dialect, because patterns stop there', () => {
  for (const name of ['rm\n-rf', 'rm\r', 'rm\u0085', 'rm\u2028', 'rm\0', 'rm\t-rf']) {
    const nested = { tools: [{ type: 'function', function: { name } }] };
    for (const type of ['ollama.chat', 'openai.chat'] as const)
      assertRefused(() => ask(type, { messages: [], ...nested }), 'invalid_member', name);
    const flat = { tools: [{ type: 'function', name }] };
    assertRefused(() => responses(flat), 'invalid_member', name);
    assertRefused(() => messages({ messages: [], tools: [{ name }] }), 'invalid_member', name);
  }
  assert.deepEqual(messages({ messages: [], tools: [{ name: 'schöne suche' }] }).toolNames, ['schöne suche']);
});
