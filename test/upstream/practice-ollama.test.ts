/** The practice upstream, which itself stands in for Ollama, asked directly by the `ollama` client package. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Ollama } from 'ollama';
import { createPracticeUpstream } from '../../src/upstream/practice/server.ts';

const messages = [{ role: 'user', content: 'hi' }];
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'd', parameters } }];

async function startForOllama(t: TestContext): Promise<Ollama> {
  const practice = await createPracticeUpstream({ frameDelayMs: 0 });
  t.after(() => practice.close());
  return new Ollama({ host: practice.url.href });
}

test('the ollama client gets a streamed chat whose counts follow from its texts', async (t) => {
  const ollama = await startForOllama(t);
  const parts = [];
  for await (const part of await ollama.chat({ model: 'llama3.2', messages, stream: true })) parts.push(part);
  const last = parts.pop();
  assert.match(parts.map((part) => part.message.content).join(''), /^This is the practice upstream of opallama, not/);
  assert.ok(parts.every((part) => !part.done && part.message.content !== ''));
  assert.equal(last?.done_reason, 'stop');
  assert.equal(last?.prompt_eval_count, 4);
  assert.equal(last?.eval_count, parts.length + 1);
});

test('the ollama client gets the same text at once without streaming', async (t) => {
  const ollama = await startForOllama(t);
  const whole = await ollama.chat({ model: 'practice', messages });
  assert.match(whole.message.content, /not a model/);
  assert.equal(whole.done, true);
  assert.equal(whole.eval_count, whole.message.content.split(' ').length + 1);
  const generated = await ollama.generate({ model: 'library/LLAMA3.2:latest', prompt: 'two words' });
  assert.equal(generated.response, whole.message.content);
  assert.equal(generated.model, 'library/LLAMA3.2:latest');
  assert.equal(generated.prompt_eval_count, 5);
});

test('the ollama client streams generate, cut by num_predict', async (t) => {
  const ollama = await startForOllama(t);
  const parts = [];
  const asked = { model: 'practice', prompt: 'hi', options: { num_predict: 3 }, stream: true } as const;
  for await (const part of await ollama.generate(asked)) parts.push(part);
  assert.deepEqual(
    parts.map((part) => part.response),
    ['This', ' is', ' the', ''],
  );
  assert.equal(parts.at(-1)?.done_reason, 'length');
  assert.equal(parts.at(-1)?.eval_count, 3);
});

test('num_predict of zero or less does not limit', async (t) => {
  const ollama = await startForOllama(t);
  for (const limit of [0, -1]) {
    const { done_reason } = await ollama.chat({ model: 'practice', messages, options: { num_predict: limit } });
    assert.equal(done_reason, 'stop');
  }
});

test('a request without a prompt loads or unloads the model', async (t) => {
  const ollama = await startForOllama(t);
  assert.equal((await ollama.chat({ model: 'practice', messages: [] })).done_reason, 'load');
  assert.equal((await ollama.generate({ model: 'practice', prompt: '' })).done_reason, 'load');
  assert.equal((await ollama.generate({ model: 'practice', prompt: '', keep_alive: 0 })).done_reason, 'unload');
});

test('the ollama client gets a tool call in one frame, and words after the result', async (t) => {
  const ollama = await startForOllama(t);
  const parts = [];
  for await (const part of await ollama.chat({ model: 'practice', messages, tools, stream: true })) parts.push(part);
  assert.equal(parts.length, 2);
  const call = parts[0]?.message.tool_calls?.[0];
  assert.deepEqual(call?.function, { index: 0, name: 'get_weather', arguments: { city: 'practice' } });
  const history = [...messages, { role: 'assistant', content: '' }, { role: 'tool', content: 'sunny' }];
  const after = await ollama.chat({ model: 'practice', messages: history, tools });
  assert.equal(after.message.tool_calls, undefined);
  assert.match(after.message.content, /practice upstream/);
});

test('the answer is JSON where JSON is asked for', async (t) => {
  const ollama = await startForOllama(t);
  const asked = { model: 'practice', messages, format: { type: 'object', properties: { n: { type: 'integer' } } } };
  assert.deepEqual(JSON.parse((await ollama.chat(asked)).message.content), { n: 1 });
});

test('the ollama client finds the models', async (t) => {
  const { models } = await (await startForOllama(t)).list();
  assert.ok(models.some((model) => model.name === 'llama3.2:latest' && model.details.family === 'practice'));
});

test('an unknown model is a 404 that the ollama client shows, streamed or not', async (t) => {
  const ollama = await startForOllama(t);
  const expected = { name: 'ResponseError', status_code: 404, message: "model 'nope' not found" };
  await assert.rejects(ollama.chat({ model: 'nope', messages }), expected);
  await assert.rejects(ollama.chat({ model: 'nope', messages, stream: true }), expected);
  await assert.rejects(ollama.generate({ model: 'nope', prompt: 'hi' }), expected);
});
