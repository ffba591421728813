/** A real Ollama asked directly and through the sidecar answers the same bytes, and the audit line has its counts. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { countsIn, withoutWhatDiffers } from '../support/ollama/compare.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';

interface Call {
  readonly what: string;
  readonly path: string;
  /** GET where there is none. */
  readonly body?: Readonly<Record<string, unknown>>;
  readonly method?: string;
  readonly status?: number;
}

const hi = [{ role: 'user', content: 'hi' }];
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
  },
};
const usage = { stream_options: { include_usage: true } };

const calls: readonly Call[] = [
  { what: 'a chat, streamed', path: '/api/chat', body: { model: 'tiny', messages: hi } },
  { what: 'a chat, whole', path: '/api/chat', body: { model: 'tiny', messages: hi, stream: false } },
  {
    what: 'a chat that calls a tool, streamed',
    path: '/api/chat',
    body: { model: 'tiny', messages: hi, tools: [weather] },
  },
  {
    what: 'a chat that calls a tool, whole',
    path: '/api/chat',
    body: { model: 'tiny', messages: hi, tools: [weather], stream: false },
  },
  { what: 'a chat that thinks, streamed', path: '/api/chat', body: { model: 'tiny-think', messages: hi, think: true } },
  {
    what: 'a chat cut by a limit',
    path: '/api/chat',
    body: { model: 'tiny', messages: hi, options: { num_predict: 3 } },
  },
  {
    what: 'a chat with a system prompt',
    path: '/api/chat',
    body: { model: 'tiny', messages: [{ role: 'system', content: 's' }, ...hi] },
  },
  { what: 'a generation, streamed', path: '/api/generate', body: { model: 'tiny', prompt: 'hi' } },
  { what: 'a generation, whole', path: '/api/generate', body: { model: 'tiny', prompt: 'hi', stream: false } },
  {
    what: 'a generation in JSON',
    path: '/api/generate',
    body: { model: 'tiny', prompt: 'hi', format: 'json', options: { num_predict: 20 } },
  },
  { what: 'a generation beyond ASCII', path: '/api/generate', body: { model: 'tiny-emoji', prompt: 'é😀\u2028' } },
  { what: 'a completion, whole', path: '/v1/chat/completions', body: { model: 'tiny', messages: hi } },
  {
    what: 'a completion with a tool, whole',
    path: '/v1/chat/completions',
    body: { model: 'tiny', messages: hi, tools: [weather] },
  },
  {
    what: 'a completion with its usage, streamed',
    path: '/v1/chat/completions',
    body: { model: 'tiny', messages: hi, stream: true, ...usage },
  },
  {
    what: 'a completion without its usage, streamed',
    path: '/v1/chat/completions',
    body: { model: 'tiny', messages: hi, stream: true },
  },
  {
    what: 'a completion with a tool, streamed',
    path: '/v1/chat/completions',
    body: { model: 'tiny', messages: hi, tools: [weather], stream: true },
  },
  { what: 'a text completion, whole', path: '/v1/completions', body: { model: 'tiny', prompt: 'hi' } },
  {
    what: 'a text completion with its usage, streamed',
    path: '/v1/completions',
    body: { model: 'tiny', prompt: 'hi', stream: true, ...usage },
  },
  {
    what: 'a text completion without its usage, streamed',
    path: '/v1/completions',
    body: { model: 'tiny', prompt: 'hi', stream: true },
  },
  {
    what: 'a text completion that says that it wants no usage, streamed',
    path: '/v1/completions',
    body: { model: 'tiny', prompt: 'hi', stream: true, stream_options: { include_usage: false } },
  },
  { what: 'a response, whole', path: '/v1/responses', body: { model: 'tiny', input: 'hi' } },
  { what: 'a response, streamed', path: '/v1/responses', body: { model: 'tiny', input: 'hi', stream: true } },
  { what: 'messages, whole', path: '/v1/messages', body: { model: 'tiny', messages: hi, max_tokens: 9 } },
  {
    what: 'messages, streamed',
    path: '/v1/messages',
    body: { model: 'tiny', messages: hi, max_tokens: 9, stream: true },
  },
  { what: 'embeddings', path: '/api/embed', body: { model: 'tiny-embed', input: ['hello', 'world'] } },
  { what: 'an embedding of the old kind', path: '/api/embeddings', body: { model: 'tiny-embed', prompt: 'hello' } },
  { what: 'embeddings, in the other dialect', path: '/v1/embeddings', body: { model: 'tiny-embed', input: 'hello' } },
  { what: 'the models', path: '/api/tags' },
  { what: 'the models, in the other dialect', path: '/v1/models' },
  { what: 'the version', path: '/api/version' },
  { what: 'the root', path: '/' },
  { what: 'the head of the root', path: '/', method: 'HEAD' },
  { what: 'a model that is not there', path: '/api/chat', body: { model: 'nope', messages: hi }, status: 404 },
  {
    what: 'a completion of a model that is not there',
    path: '/v1/chat/completions',
    body: { model: 'nope', messages: hi, stream: true },
    status: 404,
  },
  {
    what: 'a generation that Ollama refuses',
    path: '/api/generate',
    body: { model: 'tiny-embed', prompt: 'hi' },
    status: 400,
  },
];

describe('asked directly and through the sidecar, Ollama answers the same', () => {
  let pair: Pair;
  before(async () => {
    pair = await startPair();
  });
  after(() => pair.stop());

  for (const call of calls) {
    it(call.what, async () => {
      const direct = await ask(pair.ollama.url, call, {});
      const through = await ask(pair.sidecar.url, call, { authorization: `Bearer ${pair.sidecar.token}` });

      assert.equal(through.status, call.status ?? 200);
      assert.deepEqual(
        [through.status, through.contentType, withoutWhatDiffers(through.body)],
        [direct.status, direct.contentType, withoutWhatDiffers(direct.body)],
      );

      const event = await pair.sidecar.auditOf(through.requestId);
      assert.equal(event.status, through.status);
      if (through.status !== 200) return;
      assert.equal(event.outcome, 'complete');
      // Where the caller does not ask for the counts, they are those of the same call that does.
      const asked = { ...call, body: { ...call.body, ...usage } };
      const counted = countsIn(through.body) ?? (call.body && countsIn((await ask(pair.ollama.url, asked, {})).body));
      assert.deepEqual(
        { input: event.input_tokens, output: event.output_tokens },
        counted ?? { input: undefined, output: undefined },
      );
      assert.equal(event.usage, counted === undefined ? 'none' : 'known');
    });
  }
});

async function ask(base: string, call: Call, headers: Readonly<Record<string, string>>) {
  const response = await fetch(base + call.path, {
    method: call.method ?? (call.body === undefined ? 'GET' : 'POST'),
    headers: { ...headers, 'content-type': 'application/json' },
    ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    signal: AbortSignal.timeout(30_000),
  });
  return {
    status: response.status,
    contentType: response.headers.get('content-type'),
    requestId: response.headers.get('x-request-id') ?? '',
    body: await response.text(),
  };
}
