import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveModelName, shortName } from '../../src/input/model-name.ts';
import { assertRefused } from './refusals.ts';

/**
 * Names that were sent to a real Ollama 0.17.4 which had a model `tiny`, and whether it ran it. Where it answered 404, the
 * name is refused or resolves to another model.
 */
const recorded: ReadonlyArray<readonly [name: string, isTiny: boolean]> = [
  ['tiny', true],
  ['TINY', true],
  ['Tiny:Latest', true],
  ['tiny:latest', true],
  ['tiny:LATEST', true],
  ['library/tiny', true],
  ['LIBRARY/tiny', true],
  ['registry.ollama.ai/library/tiny', true],
  ['registry.ollama.ai/library/tiny:latest', true],
  ['REGISTRY.ollama.ai/library/tiny:latest', true],
  ['http://registry.ollama.ai/library/tiny', true],
  ['https://registry.ollama.ai/library/tiny:latest', true],
  ['://registry.ollama.ai/library/tiny', true],
  ['//tiny', false],
  ['///tiny', false],
  ['tiny:', false],
  ['tiny/', false],
  [' tiny', false],
  ['tiny ', false],
  ['\ttiny', false],
  ['tiny\n', false],
  ['tiny\u0000', false],
  ['./tiny', false],
  ['../library/tiny', false],
  ['library/../library/tiny', false],
  ['library//tiny', false],
  ['registry.ollama.ai//tiny', false],
  ['registry.ollama.ai/tiny', false],
  ['ollama.com/library/tiny', false],
  ['registry.ollama.ai:443/library/tiny', false],
  ['T\u0130NY', false],
  ['t\uff49ny', false],
  ['tiny\u200b', false],
  ['tiny:latest:latest', false],
  ['tiny%3Alatest', false],
  ['tiny-cloud', false],
  ['localhost/library/tiny', false],
  ['sha256:b0ca8', false],
  ['\u017flow-loop', false],
  ['a/b/c/tiny', false],
  ['x/registry.ollama.ai/library/tiny', false],
  ['a/b/registry.ollama.ai/library/tiny', false],
  ['', false],
];

test('a name resolves to tiny exactly where Ollama ran tiny', () => {
  for (const [name, isTiny] of recorded) {
    let short: string | undefined;
    try {
      short = shortName(resolveModelName(name));
    } catch {
      // Refused: not tiny.
    }
    assert.equal(short === 'tiny', isTiny, JSON.stringify(name));
  }
});

test('what is not in a name comes from the defaults', () => {
  assert.deepEqual(resolveModelName('Llama3.2'), {
    raw: 'Llama3.2',
    full: 'registry.ollama.ai/library/llama3.2:latest',
    host: 'registry.ollama.ai',
    namespace: 'library',
    name: 'llama3.2',
    tag: 'latest',
    source: 'local',
  });
});

test('all parts of a full name are kept', () => {
  const ref = resolveModelName('hf.co/Bartowski/Llama-3.2-GGUF:Q4_K_M');
  assert.equal(ref.full, 'hf.co/bartowski/llama-3.2-gguf:q4_k_m');
  assert.equal(resolveModelName('localhost:5000/a/b').full, 'localhost:5000/a/b:latest');
});

test('the short name drops defaults from the left and the default tag', () => {
  const shorts = {
    'llama3.2:latest': 'llama3.2',
    'LLAMA3.2:1B': 'llama3.2:1b',
    'registry.ollama.ai/library/x:latest': 'x',
    'mike/x': 'mike/x',
    'registry.ollama.ai/mike/x:y': 'mike/x:y',
    'hf.co/library/x': 'hf.co/library/x',
    'https://registry.ollama.ai/library/x': 'x',
  };
  for (const [name, short] of Object.entries(shorts)) assert.equal(shortName(resolveModelName(name)), short);
});

test('a short name resolves to the model that it stands for', () => {
  for (const name of ['x', 'X:Y', 'a/b', 'h.io/a/b:c', 'foo://h/a/b', 'x-cloud']) {
    const ref = resolveModelName(name);
    assert.equal(resolveModelName(shortName(ref)).full, ref.full);
    assert.equal(resolveModelName(ref.full).full, ref.full);
  }
});

test('names that leave the machine are told from local ones, in every spelling', () => {
  for (const name of ['gpt-oss:120b-cloud', 'x:cloud', 'X:CLOUD', 'x-cloud', 'x-Cloud:latest', 'library/x:1-cloud']) {
    assert.equal(resolveModelName(name).source, 'cloud', name);
  }
  for (const name of ['cloud', 'x:cloudy', 'x-cloud:7b', 'my-cloud/x', 'x:cloud-7b']) {
    assert.equal(resolveModelName(name).source, 'local', name);
  }
});

test('parts are as long as Ollama lets them be and no longer', () => {
  const long = 'a'.repeat(80);
  const host = 'a'.repeat(350);
  assert.equal(resolveModelName(`${host}/${long}/${long}:${long}`).tag, long);
  for (const name of [`a${long}`, `x:a${long}`, `a${long}/x`, `a${host}/b/c`, 'a'.repeat(100_000)]) {
    assertRefused(() => resolveModelName(name), 'invalid_model');
  }
});

test('a scheme must look like one, or a raw name could hold any text', () => {
  assert.equal(resolveModelName('://registry.ollama.ai/library/x').name, 'x');
  assertRefused(() => resolveModelName('ignore,all://registry.ollama.ai/library/x'), 'invalid_model');
  assertRefused(() => resolveModelName(`${'a'.repeat(33)}://h/a/x`), 'invalid_model');
  assertRefused(() => resolveModelName('a://b://h/a/x'), 'invalid_model');
});

test('an empty name is a missing one', () => {
  assertRefused(() => resolveModelName(''), 'missing_model');
});

test('a name that was resolved before is resolved to the same reference, and a bad one is refused again', () => {
  assert.equal(resolveModelName('Some/Model:1b'), resolveModelName('Some/Model:1b'));
  assert.ok(Object.isFrozen(resolveModelName('Some/Model:1b')));
  for (const _again of [1, 2]) assert.throws(() => resolveModelName('a b'), { code: 'invalid_model' });
});

test('made-up names do not fill the memory for good', () => {
  const before = resolveModelName('usual');
  for (let name = 0; name < 2500; name += 1) resolveModelName(`made-up-${name}`);
  assert.deepEqual(resolveModelName('usual'), before);
});
