import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAsked, readPathModel } from '../../src/input/ask/read.ts';
import type { RequestType } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

/** `part=name`, or `part=host/namespace/name` where that is not the default, and a mark for the cloud. */
function namesIn(type: RequestType, body: object): readonly string[] {
  return readAsked(type, { ...body }).models.map(({ part, full, source }) => {
    const name = full.replace('registry.ollama.ai/library/', '').replace(/:latest$/, '');
    return `${part}=${name}${source === 'cloud' ? ' (cloud)' : ''}`;
  });
}

const byModelOrName: readonly RequestType[] = [
  'ollama.show',
  'ollama.pull',
  'ollama.push',
  'ollama.create',
  'ollama.delete',
];

test('where Ollama takes "name" for an empty "model", so does the sidecar', () => {
  for (const type of byModelOrName) {
    assert.deepEqual(namesIn(type, { model: 'Tiny' }), ['model=tiny']);
    assert.deepEqual(namesIn(type, { name: 'tiny' }), ['name=tiny']);
    assert.deepEqual(namesIn(type, { model: '', name: 'tiny' }), ['name=tiny']);
    assert.deepEqual(namesIn(type, { model: null, name: 'tiny' }), ['name=tiny']);
    assert.equal(readAsked(type, { model: '', name: 'tiny' }).model.name, 'tiny');
  }
});

test('where both are there "model" counts, and policy sees both', () => {
  for (const type of byModelOrName) {
    assert.deepEqual(namesIn(type, { name: 'other', model: 'tiny' }), ['model=tiny', 'name=other']);
    assert.equal(readAsked(type, { name: 'other', model: 'tiny' }).model.name, 'tiny');
  }
});

test('a request about a model that names none is refused', () => {
  for (const type of byModelOrName) {
    for (const body of [{}, { model: '' }, { model: null, name: null }, { model: '', name: '' }])
      assertRefused(() => readAsked(type, body), 'missing_model');
    for (const body of [{ model: 5 }, { model: 'tiny', name: [] }])
      assertRefused(() => readAsked(type, body), 'invalid_member');
    assertRefused(() => readAsked(type, { model: 'tiny', name: '../x' }), 'invalid_model');
  }
});

test('the parts of a copy and of an alias must each name a model, the old name first', () => {
  assert.deepEqual(namesIn('ollama.copy', { source: 'tiny', destination: 'x/y' }), [
    'source=tiny',
    'destination=registry.ollama.ai/x/y',
  ]);
  assert.deepEqual(namesIn('ollama.alias', { alias: 'gpt-4', target: 'tiny' }), ['target=tiny', 'alias=gpt-4']);
  assert.deepEqual(namesIn('ollama.alias', { alias: 'gpt-', target: 'tiny', prefix_matching: true }), [
    'target=tiny',
    'alias=gpt-',
  ]);
  assert.deepEqual(namesIn('ollama.alias_delete', { alias: 'gpt-4' }), ['alias=gpt-4']);
  const parts = { 'ollama.copy': ['source', 'destination'], 'ollama.alias': ['target', 'alias'] } as const;
  for (const type of ['ollama.copy', 'ollama.alias'] as const) {
    const whole = { source: 'a', destination: 'b', target: 'a', alias: 'b' };
    for (const part of parts[type]) {
      for (const value of [undefined, null, '', 5])
        assertRefused(() => readAsked(type, { ...whole, [part]: value }), 'missing_model', `${part} ${value}`);
      // Ollama cuts white space off an alias; no name has any.
      assertRefused(() => readAsked(type, { ...whole, [part]: ' x' }), 'invalid_model');
    }
  }
  assertRefused(() => readAsked('ollama.alias_delete', {}), 'missing_model');
});

test('a model made of another names both, and one on another machine is cloud and says which machine', () => {
  assert.deepEqual(namesIn('ollama.create', { model: 'mine', from: 'Llama3.2' }), ['model=mine', 'from=llama3.2']);
  assert.deepEqual(namesIn('ollama.create', { model: 'mine', files: { 'a.gguf': 'sha256:0' } }), ['model=mine']);
  for (const host of ['https://Far.example:443', 'far.example', 'http://far.example:11434/base/']) {
    assert.deepEqual(namesIn('ollama.create', { model: 'mine', from: 'gpt-oss:120b', remote_host: host }), [
      'model=mine',
      'from=gpt-oss:120b (cloud)',
      'remote_host=far.example/library/gpt-oss:120b (cloud)',
    ]);
  }
});

test('a remote host that is no plain URL is refused, and one without a model to run there', () => {
  for (const host of ['http://user:pass@x', '/path', 'ftp://x', 'x:123456', 'http://x?y', 'a b', 'http://', '\u212a']) {
    assertRefused(
      () => readAsked('ollama.create', { model: 'm', from: 'f', remote_host: host }),
      'invalid_member',
      host,
    );
  }
  assertRefused(() => readAsked('ollama.create', { model: 'm', remote_host: 'x' }), 'invalid_member');
});

test('what a made model brings with it is described like a prompt', () => {
  const asked = readAsked('ollama.create', {
    model: 'm',
    from: 'f',
    system: 'be brief',
    template: '{{ .Prompt }}',
    parameters: { num_predict: 7 },
    messages: [{ role: 'USER', content: 'hi' }],
  });
  assert.ok(asked.kind === 'prompt');
  assert.deepEqual([asked.hasSystemPrompt, asked.hasTemplate, asked.messageCount], [true, true, 1]);
  assert.deepEqual([asked.maxTokens, asked.promptBytes], [7, 23]);
  assert.deepEqual(asked.content, {
    system: 'be brief',
    template: '{{ .Prompt }}',
    messages: [{ role: 'user', content: 'hi' }],
  });
});

test('transfers stream unless told not to, and what has nothing to stream says nothing of it', () => {
  for (const type of ['ollama.pull', 'ollama.push', 'ollama.create'] as const) {
    for (const [stream, expected] of [
      [undefined, true],
      [null, true],
      [true, true],
      [false, false],
    ] as const) {
      assert.equal(readAsked(type, { model: 'm', stream }).stream, expected);
    }
    assertRefused(() => readAsked(type, { model: 'm', stream: 'no' }), 'invalid_member');
  }
  assert.equal(readAsked('ollama.show', { model: 'm' }).stream, undefined);
  assert.equal(readAsked('ollama.copy', { source: 'a', destination: 'b' }).stream, undefined);
});

test('a model in the path is read like any other', () => {
  const { model, models } = readPathModel('hf.co/Team/Tiny:1b');
  assert.equal(model.full, 'hf.co/team/tiny:1b');
  assert.deepEqual(models, [{ ...model, part: 'model' }]);
  for (const name of ['..', 'a/../b', '/x', 'x/', 'a//b', '.', '://x'])
    assertRefused(() => readPathModel(name), 'invalid_model', name);
});

test('a model that runs elsewhere is seen in each part', () => {
  assert.deepEqual(namesIn('ollama.copy', { source: 'x:120b-cloud', destination: 'mine' }), [
    'source=x:120b-cloud (cloud)',
    'destination=mine',
  ]);
  assert.deepEqual(namesIn('ollama.pull', { name: 'X-cloud' }), ['name=x-cloud (cloud)']);
});
