/** A model can write anything, also what looks like the end of an answer. Only the frames' own members count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTap, type Framing, readFraming } from '../../src/stream/tap.ts';
import type { AnswerKind } from '../../src/types.ts';

function read(kind: AnswerKind, framing: Framing, text: string) {
  const tap = createTap(kind, framing);
  tap.observe(Buffer.from(text));
  return { ...tap.report() };
}

const lies = [
  '{"done":true,"eval_count":0,"prompt_eval_count":0,"done_reason":"stop"}',
  '\n{"done":true,"eval_count":0}\n',
  '\r\n\r\ndata: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\ndata: [DONE]\n\n',
  'data: [DONE]',
  '"error"',
  '","done":true,"eval_count":0,"x":"',
  '\u2028{"done":true,"eval_count":0}\u2028',
  '\u0085{"error":"x"}\u0085',
];

const nativeEnd = '{"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":22}';
const native = { usage: { inputTokens: 11, outputTokens: 22 }, finishReason: 'stop', ended: true, failed: false };
const openaiEnd =
  'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":22}}\n\ndata: [DONE]\n\n';

const usageOfEnd = { input_tokens: 11, output_tokens: 22 };

const event = (data: { readonly type: string; readonly [member: string]: unknown }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

const responseEnd = event({
  type: 'response.completed',
  response: { status: 'completed', error: null, usage: usageOfEnd },
});
const messageEnd =
  event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: usageOfEnd }) +
  event({ type: 'message_stop' });

/** A stream of `/v1/responses` without its end, the lie wherever a model writes. */
function lieInResponse(lie: string): string {
  const ended = {
    type: 'response.completed',
    response: { status: 'completed', usage: { input_tokens: 0 } },
    error: lie,
  };
  return [
    { type: 'response.created', response: { status: 'completed', error: null, usage: { input_tokens: 0 } } },
    { type: 'response.output_text.delta', delta: lie },
    { type: 'response.output_text.delta', delta: JSON.stringify(ended) },
    { type: 'response.function_call_arguments.done', arguments: `${lie}${JSON.stringify(ended)}`, name: lie },
    { type: 'response.output_item.done', item: ended, response: null },
    { type: 'response.output_text.done', response: { status: 'completed', usage: { input_tokens: 0 }, output: lie } },
  ]
    .map(event)
    .join('');
}

/** The same for `/v1/messages`. */
function lieInMessage(lie: string): string {
  const delta = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 0 } };
  return [
    { type: 'message_start', message: { type: 'message_stop', content: [], usage: { input_tokens: 1 } } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: lie } },
    { type: 'content_block_delta', index: 0, delta: { ...delta, text: lie, error: lie } },
    {
      type: 'content_block_delta',
      index: 0,
      delta: { partial_json: JSON.stringify([delta, { type: 'message_stop' }]) },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'message_stop', name: lie, input: delta } },
  ]
    .map(event)
    .join('');
}

for (const lie of lies) {
  test(`text that reads ${JSON.stringify(lie)} is only text`, () => {
    const frames = [
      { message: { role: 'assistant', content: lie, thinking: lie }, done: false },
      { message: { tool_calls: [{ function: { name: lie, arguments: { done: true, eval_count: 0, error: lie } } }] } },
      { message: { done: true, eval_count: 0, error: 'x' }, response: lie },
      { logprobs: [{ done: true, eval_count: 0, error: 'x' }] },
    ];
    const lines = frames.map((frame) => `${JSON.stringify(frame)}\n`).join('');
    assert.deepEqual(read('ollama.generation', 'ndjson', `${lines}${nativeEnd}\n`), native);
    // The same without an end: nothing may end it, and nothing was counted.
    const open = { usage: 'unknown', finishReason: undefined, ended: false, failed: false };
    assert.deepEqual(read('ollama.generation', 'ndjson', lines), open);

    const chunks = [
      { choices: [{ delta: { content: lie, reasoning: lie }, finish_reason: null }] },
      { choices: [{ delta: { usage: { prompt_tokens: 0 }, error: lie }, finish_reason: null }] },
      {
        choices: [{ delta: { tool_calls: [{ function: { name: lie, arguments: '{"usage":{"prompt_tokens":0}}' } }] } }],
      },
    ];
    const events = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('');
    assert.deepEqual(read('openai.chat', 'sse', `${events}${openaiEnd}`), native);
    assert.deepEqual(read('openai.chat', 'sse', events), open);
    assert.deepEqual(read('openai.completion', 'sse', `${events}${openaiEnd}`), native);
    assert.deepEqual(read('openai.completion', 'sse', events), open);

    assert.deepEqual(read('openai.response', 'sse', lieInResponse(lie) + responseEnd), {
      ...native,
      finishReason: 'completed',
    });
    assert.deepEqual(read('openai.response', 'sse', lieInResponse(lie)), open);
    assert.deepEqual(read('anthropic.message', 'sse', lieInMessage(lie) + messageEnd), {
      ...native,
      finishReason: 'end_turn',
    });
    assert.deepEqual(read('anthropic.message', 'sse', lieInMessage(lie)), open);
  });

  test(`a body whose text reads ${JSON.stringify(lie)} is read as it is`, () => {
    const counted = { ...native, finishReason: undefined };
    const json = (kind: AnswerKind, body: object) => read(kind, 'json', JSON.stringify(body));
    const usage = { input_tokens: 11, output_tokens: 22 };
    const output = [{ content: [{ text: lie, usage: { input_tokens: 0 }, error: lie }] }];
    assert.deepEqual(json('openai.response', { output, status: lie, usage }), { ...counted, ended: false });
    assert.deepEqual(json('openai.response', { status: 'completed', usage, output, error: null }), {
      ...counted,
      finishReason: 'completed',
    });
    const content = [{ type: 'tool_use', input: { type: 'message', usage: { input_tokens: 0 }, error: lie, lie } }];
    assert.deepEqual(json('anthropic.message', { type: 'message', content, stop_reason: 'end_turn', usage }), {
      ...native,
      finishReason: 'end_turn',
    });
    assert.deepEqual(json('ollama.embed', { model: lie, embeddings: [[1]], prompt_eval_count: 11 }), {
      ...counted,
      usage: { inputTokens: 11, outputTokens: undefined },
    });
    const progress = { usage: undefined, finishReason: undefined, ended: false, failed: false };
    assert.deepEqual(read('ollama.progress', 'ndjson', `${JSON.stringify({ status: lie, x: 'success' })}\n`), progress);
  });
}

test('an error in the stream is told, also behind the first tokens', () => {
  const line = '{"message":{"content":"a"},"done":false}\n{"error":"an error was encountered"}\n';
  assert.deepEqual(read('ollama.generation', 'ndjson', line), {
    usage: 'unknown',
    finishReason: undefined,
    ended: false,
    failed: true,
  });
  assert.equal(read('openai.chat', 'sse', 'data: {"error":{"message":"x"}}\n\n').failed, true);
});

test('an error is told in every dialect, and one that is null is none', () => {
  const message = { type: 'api_error', message: 'x' };
  for (const [kind, framing, text] of [
    ['openai.response', 'sse', event({ type: 'response.failed', response: { status: 'failed', error: message } })],
    ['openai.response', 'sse', event({ type: 'error', message: 'x' })],
    ['openai.response', 'json', JSON.stringify({ status: 'failed', error: message })],
    ['anthropic.message', 'sse', event({ type: 'error', error: message })],
    ['anthropic.message', 'json', JSON.stringify({ type: 'error', error: message })],
    ['openai.completion', 'sse', `data: ${JSON.stringify({ error: message })}\n\n`],
    ['openai.embed', 'json', JSON.stringify({ error: message })],
    ['ollama.embed', 'json', '{"error":"x"}'],
    ['ollama.progress', 'ndjson', '{"status":"pulling manifest"}\n{"error":"x"}\n'],
  ] as const) {
    const { failed, ended } = read(kind, framing, text);
    assert.deepEqual({ failed, ended }, { failed: true, ended: false }, `${kind} ${framing}`);
    assert.equal(read(kind, framing, '{"error":null}\ndata: {"error":null}\n\n').failed, false);
  }
});

test('an answer that a limit cut, in the words of the dialect itself, has ended', () => {
  const response = { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, usage: usageOfEnd };
  assert.deepEqual(read('openai.response', 'sse', event({ type: 'response.incomplete', response })), {
    ...native,
    finishReason: 'max_output_tokens',
  });
});

test('a request that only loads or unloads a model has no counts, and says so', () => {
  const none = { usage: undefined, ended: true, failed: false };
  for (const finishReason of ['load', 'unload']) {
    const line = JSON.stringify({ response: '', done: true, done_reason: finishReason });
    assert.deepEqual(read('ollama.generation', 'ndjson', `${line}\n`), { ...none, finishReason });
    assert.deepEqual(read('ollama.generation', 'json', line), { ...none, finishReason });
    const chunk = { choices: [{ text: '', finish_reason: finishReason }], usage: { prompt_tokens: 0 } };
    const stream = `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`;
    assert.deepEqual(read('openai.completion', 'sse', stream), { ...none, finishReason });
    assert.deepEqual(read('openai.completion', 'json', JSON.stringify(chunk)), { ...none, finishReason });
  }
});

test('the estimate that a stream of messages begins with is not its count', () => {
  const start = event({ type: 'message_start', message: { usage: { input_tokens: 1, output_tokens: 0 } } });
  assert.equal(read('anthropic.message', 'sse', start).usage, 'unknown');
});

test('the last of several counts is the one that holds', () => {
  const running = [1, 2, 3].map(
    (n) => `data: {"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":${n}}}\n\n`,
  );
  assert.deepEqual(read('openai.chat', 'sse', running.join('')).usage, { inputTokens: 5, outputTokens: 3 });
});

test('a count that is none is not taken for one', () => {
  for (const count of ['-1', '1.5', '1e400', '"7"', 'null', '[7]', '9007199254740993']) {
    const { usage } = read(
      'openai.chat',
      'sse',
      `data: {"choices":[],"usage":{"prompt_tokens":${count},"completion_tokens":2}}\n\n`,
    );
    assert.deepEqual(usage, { inputTokens: undefined, outputTokens: 2 }, count);
  }
});

test('a reason that is no short name is not recorded', () => {
  for (const reason of ['Stop now!', 'x'.repeat(33), 7, null, { a: 1 }, 'a\nb']) {
    assert.equal(
      read('ollama.generation', 'ndjson', `${JSON.stringify({ done: true, done_reason: reason })}\n`).finishReason,
      undefined,
    );
  }
});

test('what is not JSON, or no object, is passed over', () => {
  const lines = [
    '{"done":true',
    'true',
    '[{"done":true}]',
    '"error"',
    'null',
    '',
    ' ',
    '\u0000',
    '{"done":true}}',
  ].join('\n');
  assert.deepEqual(read('ollama.generation', 'ndjson', `${lines}\n${nativeEnd}\n`), native);
  const events = ': comment "usage"\n\nevent: x\ndata: not json "usage"\n\nid: "usage"\n\ndata:\n\nusage\n\n';
  assert.deepEqual(read('openai.chat', 'sse', events + openaiEnd), native);
});

test('white space where JSON allows it changes nothing', () => {
  const spaced = '\t{ "done" : true , "done_reason":"stop", "prompt_eval_count" : 11,"eval_count":22 } \n';
  assert.deepEqual(read('ollama.generation', 'ndjson', spaced), native);
  assert.deepEqual(read('openai.chat', 'sse', openaiEnd.replaceAll('data: ', 'data:')), native);
});

test('bytes that are no UTF-8 break nothing', () => {
  const tap = createTap('ollama.generation', 'ndjson');
  tap.observe(Buffer.from([0xff, 0xfe, 0x22, 0xc3, 0x0a]));
  tap.observe(Buffer.from(`${nativeEnd}\n`));
  assert.deepEqual({ ...tap.report() }, native);
});

test('the framing is what the content type says, in any case and with parameters', () => {
  for (const [type, framing] of [
    ['application/x-ndjson', 'ndjson'],
    ['Application/X-NDJSON; charset=utf-8', 'ndjson'],
    ['text/event-stream;charset=utf-8', 'sse'],
    ['application/json', 'json'],
    ['text/plain', undefined],
    ['application/jsonp', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(readFraming(type), framing, String(type));
  }
});
