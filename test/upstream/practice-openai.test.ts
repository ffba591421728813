/** The practice upstream, which itself stands in for Ollama, asked directly by the `openai` client package. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import OpenAI, { NotFoundError } from 'openai';
import { createPracticeUpstream } from '../../src/upstream/practice/server.ts';

const messages = [{ role: 'user' as const, content: 'hi' }];
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function' as const, function: { name: 'get_weather', description: 'd', parameters } }];

async function startForOpenAi(t: TestContext): Promise<OpenAI> {
  const practice = await createPracticeUpstream({ frameDelayMs: 0 });
  t.after(() => practice.close());
  return new OpenAI({ baseURL: new URL('/v1', practice.url).href, apiKey: 'unused', maxRetries: 0 });
}

test('the openai client gets a streamed completion, with usage where it asks for it', async (t) => {
  const openai = await startForOpenAi(t);
  const asked = { model: 'practice', messages, stream: true as const };
  const plain = [];
  for await (const chunk of await openai.chat.completions.create(asked)) plain.push(chunk);
  assert.ok(plain.every((chunk) => chunk.choices.length === 1 && chunk.usage === undefined));
  assert.equal(plain.at(-1)?.choices[0]?.finish_reason, 'stop');
  const counted = [];
  const stream = await openai.chat.completions.create({ ...asked, stream_options: { include_usage: true } });
  for await (const chunk of stream) counted.push(chunk);
  assert.equal(counted.length, plain.length + 1);
  const last = counted.at(-1);
  assert.deepEqual(last?.choices, []);
  const tokens = plain.length;
  assert.deepEqual(last?.usage, { prompt_tokens: 4, completion_tokens: tokens, total_tokens: 4 + tokens });
});

test('the openai client gets a whole completion, cut by max_tokens, and a tool call', async (t) => {
  const openai = await startForOpenAi(t);
  const asked = {
    model: 'practice',
    messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] }],
  };
  const cut = await openai.chat.completions.create({ ...asked, max_tokens: 2 });
  assert.equal(cut.choices[0]?.message.content, 'This is');
  assert.equal(cut.choices[0]?.finish_reason, 'length');
  assert.deepEqual(cut.usage, { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 });
  const called = await openai.chat.completions.create({ ...asked, tools });
  assert.equal(called.choices[0]?.finish_reason, 'tool_calls');
  const call = called.choices[0]?.message.tool_calls?.[0];
  assert.ok(call?.type === 'function');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'practice' });
  const frames = [];
  for await (const chunk of await openai.chat.completions.create({ ...asked, tools, stream: true })) frames.push(chunk);
  assert.equal(frames.length, 2);
  assert.equal(frames[0]?.choices[0]?.delta.tool_calls?.[0]?.function?.name, 'get_weather');
});

test('the openai client finds the models', async (t) => {
  const ids = [];
  for await (const model of (await startForOpenAi(t)).models.list()) ids.push(model.id);
  assert.ok(ids.includes('llama3.2:latest'));
});

test('an unknown model is a 404 that the openai client knows, streamed or not', async (t) => {
  const openai = await startForOpenAi(t);
  for (const stream of [true, false]) {
    await assert.rejects(
      openai.chat.completions.create({ model: 'nope', messages, stream }),
      (error) => error instanceof NotFoundError && error.type === 'api_error' && /model 'nope' not/.test(error.message),
    );
  }
});

test('a completion without messages is refused', async (t) => {
  const openai = await startForOpenAi(t);
  await assert.rejects(openai.chat.completions.create({ model: 'practice', messages: [] }), /400 \[\] is too short/);
});
