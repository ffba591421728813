/** A model can write anything, also what looks like the end of an answer. Only the frames' own members count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTap, type Framing, readFraming } from '../../src/stream/tap.ts';
import type { Api } from '../../src/types.ts';

function read(api: Api, framing: Framing, text: string) {
  const tap = createTap(api, framing);
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

for (const lie of lies) {
  test(`text that reads ${JSON.stringify(lie)} is only text`, () => {
    const frames = [
      { message: { role: 'assistant', content: lie, thinking: lie }, done: false },
      { message: { tool_calls: [{ function: { name: lie, arguments: { done: true, eval_count: 0, error: lie } } }] } },
      { message: { done: true, eval_count: 0, error: 'x' }, response: lie },
      { logprobs: [{ done: true, eval_count: 0, error: 'x' }] },
    ];
    const lines = frames.map((frame) => `${JSON.stringify(frame)}\n`).join('');
    assert.deepEqual(read('ollama', 'ndjson', `${lines}${nativeEnd}\n`), native);
    // The same without an end: nothing may end it, and nothing was counted.
    const open = { usage: undefined, finishReason: undefined, ended: false, failed: false };
    assert.deepEqual(read('ollama', 'ndjson', lines), open);

    const chunks = [
      { choices: [{ delta: { content: lie, reasoning: lie }, finish_reason: null }] },
      { choices: [{ delta: { usage: { prompt_tokens: 0 }, error: lie }, finish_reason: null }] },
      {
        choices: [{ delta: { tool_calls: [{ function: { name: lie, arguments: '{"usage":{"prompt_tokens":0}}' } }] } }],
      },
    ];
    const events = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('');
    assert.deepEqual(read('openai', 'sse', `${events}${openaiEnd}`), native);
    assert.deepEqual(read('openai', 'sse', events), open);
  });
}

test('an error in the stream is told, also behind the first tokens', () => {
  const line = '{"message":{"content":"a"},"done":false}\n{"error":"an error was encountered"}\n';
  assert.deepEqual(read('ollama', 'ndjson', line), {
    usage: undefined,
    finishReason: undefined,
    ended: false,
    failed: true,
  });
  assert.equal(read('openai', 'sse', 'data: {"error":{"message":"x"}}\n\n').failed, true);
});

test('the last of several counts is the one that holds', () => {
  const running = [1, 2, 3].map(
    (n) => `data: {"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":${n}}}\n\n`,
  );
  assert.deepEqual(read('openai', 'sse', running.join('')).usage, { inputTokens: 5, outputTokens: 3 });
});

test('a count that is none is not taken for one', () => {
  for (const count of ['-1', '1.5', '1e400', '"7"', 'null', '[7]', '9007199254740993']) {
    const { usage } = read(
      'openai',
      'sse',
      `data: {"choices":[],"usage":{"prompt_tokens":${count},"completion_tokens":2}}\n\n`,
    );
    assert.deepEqual(usage, { inputTokens: undefined, outputTokens: 2 }, count);
  }
});

test('a reason that is no short name is not recorded', () => {
  for (const reason of ['Stop now!', 'x'.repeat(33), 7, null, { a: 1 }, 'a\nb']) {
    assert.equal(
      read('ollama', 'ndjson', `${JSON.stringify({ done: true, done_reason: reason })}\n`).finishReason,
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
  assert.deepEqual(read('ollama', 'ndjson', `${lines}\n${nativeEnd}\n`), native);
  const events = ': comment "usage"\n\nevent: x\ndata: not json "usage"\n\nid: "usage"\n\ndata:\n\nusage\n\n';
  assert.deepEqual(read('openai', 'sse', events + openaiEnd), native);
});

test('white space where JSON allows it changes nothing', () => {
  const spaced = '\t{ "done" : true , "done_reason":"stop", "prompt_eval_count" : 11,"eval_count":22 } \n';
  assert.deepEqual(read('ollama', 'ndjson', spaced), native);
  assert.deepEqual(read('openai', 'sse', openaiEnd.replaceAll('data: ', 'data:')), native);
});

test('bytes that are no UTF-8 break nothing', () => {
  const tap = createTap('ollama', 'ndjson');
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
