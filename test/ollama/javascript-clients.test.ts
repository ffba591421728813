/** The JavaScript clients of Ollama, OpenAI and Anthropic, and LangChain's, get through the sidecar what they get directly. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOllama, Ollama as LangChainOllama, OllamaEmbeddings } from '@langchain/ollama';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import type { AuditEvent } from '../../src/types.ts';
import { withoutWhatDiffers } from '../support/ollama/compare.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';

const messages = [{ role: 'user' as const, content: 'hi' }];
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: { city: { type: 'string', description: 'its name' } },
    },
  },
};

/** Everything that a call gave, frames in a row, as comparable text. */
async function text(given: unknown): Promise<string> {
  const value = given instanceof Promise ? await given : given;
  const frames: unknown[] = [];
  if (isStream(value)) for await (const frame of value) frames.push(frame);
  else frames.push(value);
  return withoutWhatDiffers(JSON.stringify(frames));
}

async function failureOf(call: PromiseLike<unknown>): Promise<Error> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return assert.fail('the call did not fail');
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

const ollamaCalls: Readonly<Record<string, (client: Ollama) => unknown>> = {
  'a chat': (client) => client.chat({ model: 'tiny', messages }),
  'a streamed chat': (client) => client.chat({ model: 'tiny', messages, stream: true }),
  'a chat with a tool': (client) => client.chat({ model: 'tiny', messages, tools: [weather] }),
  'a streamed chat with a tool': (client) => client.chat({ model: 'tiny', messages, tools: [weather], stream: true }),
  'a streamed chat that thinks': (client) => client.chat({ model: 'tiny-think', messages, think: true, stream: true }),
  'a generation': (client) => client.generate({ model: 'tiny', prompt: 'hi' }),
  'a streamed generation': (client) => client.generate({ model: 'tiny-emoji', prompt: 'hi', stream: true }),
  'the list of models': (client) => client.list(),
  'the version': (client) => client.version(),
  'a model': (client) => client.show({ model: 'tiny' }),
  'models that run': (client) => client.ps(),
  embeddings: (client) => client.embed({ model: 'tiny-embed', input: ['hi', 'there'] }),
  'embeddings of the old kind': (client) => client.embeddings({ model: 'tiny-embed', prompt: 'hi' }),
};

const openaiCalls: Readonly<Record<string, (client: OpenAI) => unknown>> = {
  'a completion': (client) => client.chat.completions.create({ model: 'tiny', messages }),
  'a streamed completion': (client) => client.chat.completions.create({ model: 'tiny', messages, stream: true }),
  'a streamed completion with its usage': (client) =>
    client.chat.completions.create({ model: 'tiny', messages, stream: true, stream_options: { include_usage: true } }),
  'a completion with a tool': (client) => client.chat.completions.create({ model: 'tiny', messages, tools: [weather] }),
  'a streamed completion with a tool': (client) =>
    client.chat.completions.create({ model: 'tiny', messages, tools: [weather], stream: true }),
  'the list of models': async (client) => (await client.models.list()).data,
  'a model': (client) => client.models.retrieve('tiny'),
  'a completion of the old kind': (client) => client.completions.create({ model: 'tiny', prompt: 'hi' }),
  'a streamed completion of the old kind': (client) =>
    client.completions.create({ model: 'tiny', prompt: 'hi', stream: true }),
  embeddings: (client) => client.embeddings.create({ model: 'tiny-embed', input: ['hi', 'there'] }),
  'a response': (client) => client.responses.create({ model: 'tiny', input: 'hi' }),
  'a streamed response': (client) => client.responses.create({ model: 'tiny', input: 'hi', stream: true }),
};

const tool = { name: weather.function.name, input_schema: { ...weather.function.parameters, type: 'object' as const } };
const asked = { model: 'tiny', max_tokens: 50, messages };

const anthropicCalls: Readonly<Record<string, (client: Anthropic) => unknown>> = {
  'a message': (client) => client.messages.create(asked),
  'a streamed message': (client) => client.messages.create({ ...asked, stream: true }),
  'a message that is streamed and put together': (client) => client.messages.stream(asked).finalMessage(),
  'a message with a tool': (client) => client.messages.create({ ...asked, tools: [tool] }),
  'a streamed message with a tool': (client) => client.messages.create({ ...asked, tools: [tool], stream: true }),
  'the list of models': async (client) => (await client.models.list()).data,
  'a model': (client) => client.models.retrieve('tiny'),
};

interface Chain {
  readonly baseUrl: string;
  readonly headers?: Record<string, string>;
}

/** LangChain gives each run an id of its own, so only what the model said is looked at. */
const langChainCalls: Readonly<Record<string, (chain: Chain) => unknown>> = {
  'a chat': async (chain) => said(await new ChatOllama({ ...chain, model: 'tiny' }).invoke('hi')),
  'a streamed chat': async (chain) => {
    const parts: unknown[] = [];
    for await (const part of await new ChatOllama({ ...chain, model: 'tiny' }).stream('hi')) parts.push(said(part));
    return parts;
  },
  'a chat with a tool': async (chain) =>
    said(await new ChatOllama({ ...chain, model: 'tiny' }).bindTools([weather]).invoke('hi')),
  'a generation': (chain) => new LangChainOllama({ ...chain, model: 'tiny' }).invoke('hi'),
  embeddings: (chain) => new OllamaEmbeddings({ ...chain, model: 'tiny-embed' }).embedDocuments(['hi', 'there']),
};

function said(message: {
  readonly content: unknown;
  readonly usage_metadata?: unknown;
  readonly tool_calls?: unknown;
}) {
  const tools = JSON.parse(JSON.stringify(message.tool_calls ?? []), (key, value) => (key === 'id' ? '*' : value));
  return { content: message.content, usage: message.usage_metadata, tools };
}

describe('JavaScript clients', () => {
  let pair: Pair;
  let ollama: { readonly direct: Ollama; readonly through: Ollama; readonly belowPrefix: Ollama };
  let anthropic: { readonly direct: Anthropic; readonly through: Anthropic; readonly belowPrefix: Anthropic };
  let chain: { readonly direct: Chain; readonly through: Chain; readonly belowPrefix: Chain };
  let openai: { readonly direct: OpenAI; readonly through: OpenAI; readonly belowPrefix: OpenAI };
  before(async () => {
    pair = await startPair();
    const { url, token } = pair.sidecar;
    const headers = { authorization: `Bearer ${token}` };
    ollama = {
      direct: new Ollama({ host: pair.ollama.url }),
      through: new Ollama({ host: url, headers }),
      belowPrefix: new Ollama({ host: `${url}/api/v1/ollama`, headers }),
    };
    // The SDK sends its key as a bearer token. No retries: a failure must show.
    openai = {
      direct: new OpenAI({ baseURL: `${pair.ollama.url}/v1`, apiKey: 'unused', maxRetries: 0 }),
      through: new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 }),
      belowPrefix: new OpenAI({ baseURL: `${url}/ollama/v1`, apiKey: token, maxRetries: 0 }),
    };
  });
  before(() => {
    const { url, token } = pair.sidecar;
    anthropic = {
      direct: new Anthropic({ baseURL: pair.ollama.url, apiKey: 'unused', maxRetries: 0 }),
      // As x-api-key, and as a bearer token.
      through: new Anthropic({ baseURL: url, apiKey: token, maxRetries: 0 }),
      belowPrefix: new Anthropic({ baseURL: `${url}/ollama`, apiKey: null, authToken: token, maxRetries: 0 }),
    };
    const headers = { Authorization: `Bearer ${token}` };
    chain = {
      direct: { baseUrl: pair.ollama.url },
      through: { baseUrl: url, headers },
      belowPrefix: { baseUrl: `${url}/ollama`, headers },
    };
  });
  after(() => pair.stop());

  for (const [what, call] of Object.entries(ollamaCalls)) {
    it(`ollama: ${what}, also below a prefix`, async () => {
      const direct = await text(call(ollama.direct));
      assert.equal(await text(call(ollama.through)), direct);
      assert.equal(await text(call(ollama.belowPrefix)), direct);
    });
  }

  for (const [what, call] of Object.entries(openaiCalls)) {
    it(`openai: ${what}, also below a prefix`, async () => {
      const direct = await text(call(openai.direct));
      assert.equal(await text(call(openai.through)), direct);
      assert.equal(await text(call(openai.belowPrefix)), direct);
    });
  }

  for (const [what, call] of Object.entries(anthropicCalls)) {
    it(`anthropic: ${what}, also below a prefix`, async () => {
      const direct = await text(call(anthropic.direct));
      assert.equal(await text(call(anthropic.through)), direct);
      assert.equal(await text(call(anthropic.belowPrefix)), direct);
    });
  }

  for (const [what, call] of Object.entries(langChainCalls)) {
    it(`langchain: ${what}, also below a prefix`, async () => {
      const direct = await text(call(chain.direct));
      assert.equal(await text(call(chain.through)), direct);
      assert.equal(await text(call(chain.belowPrefix)), direct);
    });
  }

  it('anthropic: counting tokens is not there, as Ollama has no route for it', async () => {
    for (const client of [anthropic.direct, anthropic.through]) {
      await assert.rejects(client.messages.countTokens({ model: 'tiny', messages }), Anthropic.NotFoundError);
    }
  });

  it('get Ollama’s own words about a model that is not there', async () => {
    const ask = (client: Ollama) => failureOf(client.chat({ model: 'nope', messages }));
    const [direct, through] = [await ask(ollama.direct), await ask(ollama.through)];
    assert.deepEqual([through.name, through.message], [direct.name, direct.message]);
    assert.match(through.message, /model 'nope' not found/);

    const complete = (client: OpenAI) => failureOf(client.chat.completions.create({ model: 'nope', messages }));
    const refused = await complete(openai.through);
    assert.ok(refused instanceof OpenAI.NotFoundError);
    assert.equal(refused.message, (await complete(openai.direct)).message);
  });

  it('are told by their own kinds of error which rule denied and what is wrong with a token', async () => {
    const denied = await failureOf(ollama.through.chat({ model: 'forbidden', messages }));
    assert.match(denied.message, /nobody may ask for this model/);

    const stranger = new OpenAI({ baseURL: `${pair.sidecar.url}/v1`, apiKey: 'not-a-token', maxRetries: 0 });
    await assert.rejects(stranger.chat.completions.create({ model: 'tiny', messages }), OpenAI.AuthenticationError);
    const forbidden = openai.through.chat.completions.create({ model: 'forbidden', messages, stream: true });
    await assert.rejects(forbidden, (error: unknown) => {
      assert.ok(error instanceof OpenAI.PermissionDeniedError);
      assert.equal(error.code, 'model_forbidden');
      return true;
    });
  });

  it('can leave in the middle of a stream', async () => {
    const ofThis = (event: AuditEvent) => event.model === 'slow-loop';
    const chat = await ollama.through.chat({ model: 'slow-loop', messages, stream: true });
    await assert.rejects(async () => {
      for await (const _frame of chat) chat.abort();
    }, /abort/i);
    assert.equal((await pair.sidecar.auditWhere(ofThis)).outcome, 'aborted');

    const completion = await openai.through.chat.completions.create({ model: 'slow-loop', messages, stream: true });
    for await (const _chunk of completion) break;
    assert.equal((await pair.sidecar.auditWhere(ofThis, 2)).outcome, 'aborted');
  });
});
