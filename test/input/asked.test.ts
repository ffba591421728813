import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAsked } from '../../src/input/ask/read.ts';
import type { RequestType } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

const types: readonly RequestType[] = ['ollama.chat', 'ollama.generate', 'openai.chat'];

function ask(type: RequestType, body: object) {
  const asked = readAsked(type, { model: 'tiny', ...body });
  assert.ok(asked.kind === 'prompt');
  return asked;
}
const chat = (body: object) => ask('ollama.chat', body);
const generate = (body: object) => ask('ollama.generate', body);
const v1 = (body: object) => ask('openai.chat', body);

test('every kind of request needs a model that is a name', () => {
  for (const type of types) {
    for (const model of [undefined, null, '', 5, ['tiny'], {}]) {
      assertRefused(() => readAsked(type, model === undefined ? {} : { model }), 'missing_model');
    }
    assertRefused(() => readAsked(type, { model: ' tiny' }), 'invalid_model');
    assert.equal(ask(type, { model: 'TINY:latest' }).model.name, 'tiny');
  }
});

test("Ollama's own routes stream unless told not to, v1 only if told to", () => {
  for (const own of [chat, generate]) {
    assert.deepEqual(
      [own({}), own({ stream: null }), own({ stream: true })].map((asked) => asked.stream),
      [true, true, true],
    );
    assert.equal(own({ stream: false }).stream, false);
  }
  assert.deepEqual(
    [v1({}), v1({ stream: null }), v1({ stream: false })].map((asked) => asked.stream),
    [false, false, false],
  );
  assert.equal(v1({ stream: true }).stream, true);
});

test('whether the caller asked for usage is known', () => {
  assert.equal(v1({ stream: true }).includeUsage, false);
  assert.equal(v1({ stream_options: null }).includeUsage, false);
  assert.equal(v1({ stream_options: { include_usage: null } }).includeUsage, false);
  assert.equal(v1({ stream_options: { include_usage: true } }).includeUsage, true);
});

test('a system prompt is found by its role in any case, wherever it stands', () => {
  for (const read of [chat, v1]) {
    assert.equal(read({ messages: [{ role: 'user', content: 'hi' }] }).hasSystemPrompt, false);
    for (const role of ['system', 'SYSTEM', 'developer']) {
      assert.equal(
        read({
          messages: [
            { role: 'user', content: 'hi' },
            { role, content: 'x' },
          ],
        }).hasSystemPrompt,
        true,
      );
    }
  }
  assert.equal(generate({ system: '' }).hasSystemPrompt, false);
  assert.equal(generate({ system: 'x' }).hasSystemPrompt, true);
});

test('roles are what Ollama makes of them, also in what a policy reads', () => {
  const messages = [{ role: 'SyStem', content: 'x', tool_name: 'y' }, { content: 'no role' }];
  assert.deepEqual(chat({ messages }).content.messages, [
    { role: 'system', content: 'x', tool_name: 'y' },
    { content: 'no role', role: '' },
  ]);
  const plain = [{ role: 'user', content: 'x' }];
  assert.equal(v1({ messages: plain }).content.messages, plain);
});

test('a role that two languages put into lower case differently is refused', () => {
  for (const read of [chat, v1]) {
    for (const role of ['s\u0130stem', 'assistant\u212a', 'ſystem']) {
      assertRefused(() => read({ messages: [{ role, content: '' }] }), 'invalid_member');
    }
  }
});

test('tools count if there are any, by their names', () => {
  const tools = [{ type: 'function', function: { name: 'get_weather' } }, { function: null }];
  for (const read of [chat, v1]) {
    for (const none of [undefined, null, []]) {
      const asked = read({ tools: none });
      assert.deepEqual([asked.hasTools, asked.toolNames], [false, []]);
    }
    const asked = read({ tools });
    assert.deepEqual([asked.hasTools, asked.toolNames], [true, ['get_weather', '']]);
  }
  assert.equal(generate({ tools }).hasTools, false);
});

test('messages are counted, a prompt is one, an empty one is none', () => {
  assert.equal(chat({}).messageCount, 0);
  assert.equal(chat({ messages: [{}, {}] }).messageCount, 2);
  assert.equal(v1({ messages: [{ role: 'user', content: 'x' }] }).messageCount, 1);
  assert.equal(generate({ prompt: 'x' }).messageCount, 1);
  assert.equal(generate({ prompt: '' }).messageCount, 0);
});

test('images are counted where each dialect has them', () => {
  assert.equal(chat({ messages: [{ images: ['QQ==', 'QQ=='] }, { images: ['QQ=='] }, {}] }).imageCount, 3);
  assert.equal(generate({ images: ['QQ=='] }).imageCount, 1);
  const content = [
    { type: 'text', text: 'x' },
    { type: 'image_url', image_url: { url: 'data:;base64,QQ==' } },
  ];
  assert.equal(v1({ messages: [{ content }, { content }] }).imageCount, 2);
});

test('the bytes of the text are those of UTF-8, from every place that reaches the prompt', () => {
  assert.equal(
    chat({ messages: [{ content: 'é😀' }, { content: 'a', thinking: 'bc', tool_name: 'd' }] }).promptBytes,
    10,
  );
  const calls = [{ function: { name: 'f', arguments: { a: 'é' } } }];
  assert.equal(chat({ messages: [{ tool_calls: calls }] }).promptBytes, Buffer.byteLength(JSON.stringify(calls)));
  assert.equal(chat({ tools: calls }).promptBytes, Buffer.byteLength(JSON.stringify(calls)));
  assert.equal(generate({ prompt: 'aé', suffix: 'b', system: 'cc', template: 'ddd' }).promptBytes, 9);
  const content = [
    { type: 'text', text: 'é' },
    { type: 'image_url', image_url: 'data:x' },
    { type: 'text', text: 'a' },
  ];
  assert.equal(
    v1({ messages: [{ content, reasoning: 'r', name: 'n' }, { content: 'x' }, { content: null }] }).promptBytes,
    6,
  );
});

test('tokens are estimated at four bytes each, token ids counted', () => {
  assert.equal(generate({ prompt: 'abcde' }).estimatedTokens, 2);
  assert.equal(generate({ prompt: 'abcde', context: [1, 2, 3] }).estimatedTokens, 5);
  assert.equal(chat({}).estimatedTokens, 0);
});

test('what only generate has is read there', () => {
  const asked = generate({ template: '{{ .Prompt }}', raw: true, context: [1], _debug_render_only: true });
  assert.deepEqual([asked.hasTemplate, asked.raw, asked.hasContext, asked.debug], [true, true, true, true]);
  const none = generate({ template: '', raw: null, context: [], _debug_render_only: false });
  assert.deepEqual([none.hasTemplate, none.raw, none.hasContext, none.debug], [false, false, false, false]);
  const ignored = chat({ template: 'x', raw: true, context: [1], system: 'x' });
  assert.deepEqual(
    [ignored.hasTemplate, ignored.raw, ignored.hasContext, ignored.hasSystemPrompt],
    [false, false, false, false],
  );
});

test('the debug flag is read on every route', () => {
  for (const type of types) assert.equal(ask(type, { _debug_render_only: true }).debug, true);
});

test('max_tokens is the limit that Ollama applies, if any', () => {
  const limits: ReadonlyArray<readonly [unknown, number | undefined]> = [
    [undefined, undefined],
    [null, undefined],
    [1, 1],
    [100.9, 100],
    [0.5, undefined],
    [0, undefined],
    [-1, undefined],
    [-2, undefined],
    [1e300, undefined],
  ];
  for (const [sent, applied] of limits) {
    assert.equal(chat({ options: { num_predict: sent } }).maxTokens, applied, `num_predict ${sent}`);
    assert.equal(v1({ max_tokens: sent }).maxTokens, applied, `max_tokens ${sent}`);
  }
  assert.equal(generate({ options: { num_predict: 7 } }).maxTokens, 7);
});

test('a limit that a route ignores is none', () => {
  assert.equal(chat({ max_tokens: 5, num_predict: 5, options: { Num_Predict: 5 } }).maxTokens, undefined);
  const asked = v1({ max_completion_tokens: 5, options: { num_predict: 5 }, keep_alive: 0, format: 'json' });
  assert.deepEqual(
    [asked.maxTokens, asked.options, asked.keepAlive, asked.format],
    [undefined, undefined, undefined, undefined],
  );
});

test('options, keep_alive and format are handed on as they came', () => {
  const format = { type: 'object' };
  const asked = chat({ options: { seed: 1 }, keep_alive: '5m', format });
  assert.deepEqual([asked.options, asked.keepAlive, asked.format], [{ seed: 1 }, '5m', format]);
  const none = generate({ options: null, keep_alive: null, format: null });
  assert.deepEqual([none.options, none.keepAlive, none.format], [undefined, undefined, undefined]);
  assert.equal(generate({ format: '' }).format, undefined);
  assert.equal(generate({ keep_alive: 0 }).keepAlive, 0);
});

test('response_format is what v1 makes of it', () => {
  assert.equal(v1({ response_format: { type: ' JSON_object ' } }).format, 'json');
  const schema = { type: 'object' };
  assert.deepEqual(v1({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }).format, schema);
  for (const other of [
    null,
    { type: 'text' },
    { type: 'json_schema' },
    { type: 'json_schema', json_schema: null },
    {},
  ]) {
    assert.equal(v1({ response_format: other }).format, undefined);
  }
});

test('integers that a JavaScript number has rounded are refused in a format and in metadata', () => {
  const rounded = JSON.parse('{"a": [{"maximum": 9007199254740993}]}');
  assertRefused(() => ask('ollama.chat', { format: rounded }), 'invalid_member');
  assertRefused(() => ask('ollama.chat', { metadata: rounded }), 'invalid_member');
  const exact = { a: [{ maximum: 9007199254740991, minimum: 0.5 }] };
  assert.deepEqual(ask('ollama.chat', { format: exact, metadata: exact }).format, exact);
  // Ollama reads these as 64-bit floats itself.
  assert.deepEqual(ask('ollama.chat', { options: rounded }).options, rounded);
});

test('metadata counts if it is an object', () => {
  for (const type of types) {
    assert.deepEqual(ask(type, { metadata: { team: 'a' } }).metadata, { team: 'a' });
    for (const other of [undefined, null, 'x', ['x']]) assert.equal(ask(type, { metadata: other }).metadata, undefined);
  }
});

test('a member of a type that Ollama would refuse is refused where the input is made of it', () => {
  const wrong: ReadonlyArray<readonly [RequestType, object]> = [
    ['ollama.chat', { stream: 'true' }],
    ['ollama.chat', { stream: 1 }],
    ['ollama.chat', { messages: {} }],
    ['ollama.chat', { messages: 'hi' }],
    ['ollama.chat', { messages: ['hi'] }],
    ['ollama.chat', { messages: [null] }],
    ['ollama.chat', { messages: [[]] }],
    ['ollama.chat', { messages: [{ role: 5 }] }],
    ['ollama.chat', { messages: [{ content: ['x'] }] }],
    ['ollama.chat', { messages: [{ content: {} }] }],
    ['ollama.chat', { messages: [{ images: 'QQ==' }] }],
    ['ollama.chat', { messages: [{ tool_calls: {} }] }],
    ['ollama.chat', { messages: [{ thinking: 1 }] }],
    ['ollama.chat', { tools: {} }],
    ['ollama.chat', { tools: ['x'] }],
    ['ollama.chat', { tools: [{ function: 'x' }] }],
    ['ollama.chat', { tools: [{ function: { name: 1 } }] }],
    ['ollama.chat', { options: [] }],
    ['ollama.chat', { options: { num_predict: '5' } }],
    ['ollama.chat', { _debug_render_only: 'yes' }],
    ['ollama.generate', { prompt: ['x'] }],
    ['ollama.generate', { system: 1 }],
    ['ollama.generate', { template: {} }],
    ['ollama.generate', { suffix: false }],
    ['ollama.generate', { raw: 0 }],
    ['ollama.generate', { context: '1' }],
    ['ollama.generate', { images: {} }],
    ['openai.chat', { stream: 'true' }],
    ['openai.chat', { stream_options: true }],
    ['openai.chat', { stream_options: { include_usage: 1 } }],
    ['openai.chat', { max_tokens: '5' }],
    ['openai.chat', { messages: [{ content: 5 }] }],
    ['openai.chat', { messages: [{ content: {} }] }],
    ['openai.chat', { messages: [{ content: ['x'] }] }],
    ['openai.chat', { messages: [{ content: [{ type: 'text', text: 5 }] }] }],
    ['openai.chat', { response_format: 'json' }],
    ['openai.chat', { response_format: { type: 5 } }],
  ];
  for (const [type, body] of wrong) assertRefused(() => ask(type, body), 'invalid_member', JSON.stringify(body));
});

test('content is handed on as it came, and empty members are not there', () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const { content } = chat({ messages, prompt: 'x' });
  assert.equal(content.messages, messages);
  assert.equal('prompt' in content, false);
  assert.deepEqual(generate({ prompt: 'p', suffix: 's', system: '', template: null }).content, {
    prompt: 'p',
    suffix: 's',
  });
});
