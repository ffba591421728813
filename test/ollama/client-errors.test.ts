/** Each client library raises its own kind of error for what the sidecar refuses, so that programs can tell why. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOllama, OllamaEmbeddings } from '@langchain/ollama';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { runToEnd } from '../support/ollama/command.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { type Sidecar, startSidecar, testerPolicy } from '../support/ollama/sidecar.ts';

const policy = `${testerPolicy}
deny contains {"code": "too_many", "message": "come back later"} if input.model == "busy"

http_status := 429 if input.model == "busy"
`;

/** Nothing listens there: port 1 of this machine needs root and serves nothing known. */
const nowhere = 'http://127.0.0.1:1';
const messages = [{ role: 'user' as const, content: 'hi' }];

interface Failure {
  readonly kind: string;
  readonly status: unknown;
  readonly message: string;
}

async function failureOf(call: () => Promise<unknown>): Promise<Failure> {
  try {
    const given = await call();
    if (typeof given === 'object' && given !== null && Symbol.asyncIterator in given) {
      const frames: AsyncIterable<unknown> = { [Symbol.asyncIterator]: () => iteratorOf(given) };
      for await (const _frame of frames);
    }
  } catch (error) {
    assert.ok(error instanceof Error);
    const status: unknown = Reflect.get(error, 'status') ?? Reflect.get(error, 'status_code');
    return { kind: error.constructor.name, status, message: error.message };
  }
  return assert.fail('the call did not fail');
}

function iteratorOf(stream: { [Symbol.asyncIterator]: unknown }): AsyncIterator<unknown> {
  const make = stream[Symbol.asyncIterator];
  assert.ok(typeof make === 'function');
  return make.call(stream);
}

const sdkKinds = new Map([
  [401, 'AuthenticationError'],
  [403, 'PermissionDeniedError'],
  [404, 'NotFoundError'],
  [429, 'RateLimitError'],
  [502, 'InternalServerError'],
]);

type Ask = (url: string, token: string, model: string) => Promise<unknown>;

const asking: Readonly<Record<string, Ask>> = {
  ollama: (host, token, model) => native(host, token).chat({ model, messages }),
  'ollama, streamed': (host, token, model) => native(host, token).chat({ model, messages, stream: true }),
  'ollama, embeddings': (host, token, model) => native(host, token).embed({ model, input: 'hi' }),
  openai: (url, token, model) => openai(url, token).chat.completions.create({ model, messages }),
  'openai, streamed': (url, token, model) =>
    openai(url, token).chat.completions.create({ model, messages, stream: true }),
  'openai, responses': (url, token, model) => openai(url, token).responses.create({ model, input: 'hi' }),
  'openai, embeddings': (url, token, model) => openai(url, token).embeddings.create({ model, input: 'hi' }),
  anthropic: (url, token, model) => anthropic(url, token).messages.create({ model, messages, max_tokens: 50 }),
  'anthropic, streamed': (url, token, model) =>
    anthropic(url, token).messages.create({ model, messages, max_tokens: 50, stream: true }),
  langchain: (baseUrl, token, model) => new ChatOllama({ ...chain(baseUrl, token), model }).invoke('hi'),
  'langchain, streamed': (baseUrl, token, model) => new ChatOllama({ ...chain(baseUrl, token), model }).stream('hi'),
  'langchain, embeddings': (baseUrl, token, model) =>
    new OllamaEmbeddings({ ...chain(baseUrl, token), model }).embedQuery('hi'),
};

function native(host: string, token: string): Ollama {
  return new Ollama({ host, headers: { Authorization: `Bearer ${token}` } });
}

function openai(url: string, apiKey: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
}

function anthropic(baseURL: string, apiKey: string): Anthropic {
  return new Anthropic({ baseURL, apiKey, maxRetries: 0 });
}

function chain(baseUrl: string, token: string) {
  return { baseUrl, headers: { Authorization: `Bearer ${token}` }, maxRetries: 0 };
}

describe('what clients are told', () => {
  let pair: Pair;
  let alone: Sidecar;
  before(async () => {
    pair = await startPair({ policy });
    alone = await startSidecar({ upstream: nowhere, policy });
  });
  after(async () => {
    await alone?.stop();
    await pair.stop();
  });

  const cases = [
    { status: 401, of: () => ({ sidecar: pair.sidecar, token: 'no-token', model: 'tiny' }), says: /credential/i },
    { status: 403, of: () => ({ ...known(pair.sidecar), model: 'forbidden' }), says: /nobody may ask for this model/ },
    { status: 404, of: () => ({ ...known(pair.sidecar), model: 'nope' }), says: /not found/ },
    { status: 429, of: () => ({ ...known(pair.sidecar), model: 'busy' }), says: /come back later/ },
    { status: 502, of: () => ({ ...known(alone), model: 'tiny' }), says: /Cannot reach Ollama/ },
  ];

  for (const [client, ask] of Object.entries(asking)) {
    it(`${client} in JavaScript raises its own kind of error for 401, 403, 404, 429 and 502`, async () => {
      for (const { status, of, says } of cases) {
        const { sidecar, token, model } = of();
        const failure = await failureOf(() => ask(sidecar.url, token, model));
        const sdk = client.startsWith('openai') || client.startsWith('anthropic');
        assert.equal(failure.kind, sdk ? sdkKinds.get(status) : 'ResponseError', JSON.stringify(failure));
        assert.equal(failure.status, status);
        assert.match(failure.message, says);
      }
    });
  }

  it('the Python clients raise their own kinds of error for 401, 403, 404, 429 and 502', async () => {
    const given = cases.map(({ status, of }) => {
      const { sidecar, token, model } = of();
      return { status, url: sidecar.url, token, model };
    });
    const { code, stdout, stderr } = await runToEnd(
      pair.parts.python,
      [join(import.meta.dirname, 'client_errors.py')],
      { PATH: process.env['PATH'] ?? '' },
      { stdin: JSON.stringify(given) },
    );
    assert.equal(code, 0, stderr);
    const failures: { client: string; asked: number; kind: string; status: number; message: string }[] =
      JSON.parse(stdout);
    assert.equal(failures.length, 11 * cases.length);
    for (const { client, asked, kind, status, message } of failures) {
      const sdk = client.startsWith('openai') || client.startsWith('anthropic');
      const place = JSON.stringify({ client, asked, message });
      assert.deepEqual([kind, status], [sdk ? sdkKinds.get(asked) : 'ResponseError', asked], place);
      assert.match(message, cases.find((one) => one.status === asked)?.says ?? /^$/, place);
    }
  });
});

function known(sidecar: Sidecar) {
  return { sidecar, token: sidecar.token };
}
