/** What the comparison stands on, as far as it needs no Go; the comparison itself is `npm run test:parse`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare } from './compare.ts';
import { generate } from './generate.ts';
import { handmade } from './handmade.ts';
import { loadKept } from './kept.ts';
import { minimise } from './minimise.ts';
import { type Ours, readOurs, requestTypes } from './ours.ts';

test('a document can be made again from its seed and its number', () => {
  const texts = (seed: number) =>
    Array.from({ length: 200 }, (_, at) => generate(seed, at, requestTypes).bytes.toString('latin1'));
  assert.deepEqual(texts(7), texts(7));
  assert.notDeepEqual(texts(7), texts(8));
  assert.ok(new Set(texts(7)).size > 190);
});

test('of every kind of request a fair share of documents passes the guard, and a fair share does not', () => {
  for (const type of requestTypes) {
    let passed = 0;
    for (let at = 0; at < 1000; at++) if (readOurs(generate(11, at, [type])).refused === undefined) passed++;
    assert.ok(passed > 200 && passed < 800, `${type}: ${passed} of 1000`);
  }
});

test('every member of a complete document is tried, and the document itself passes', () => {
  for (const type of requestTypes) {
    const documents = [...handmade([type])];
    assert.ok(documents.length > 300, `${type}: ${documents.length}`);
    assert.ok(documents.some((document) => readOurs(document).refused === undefined));
  }
});

test('what differs is named, and a refusal of the sidecar is no difference', () => {
  const bytes = Buffer.from('{"model":"tiny","prompt":"p"}');
  const said = { models: [{ part: 'model', full: 'registry.ollama.ai/library/other:latest' }], stream: true };
  const { difference, side } = compare({ type: 'ollama.generate', bytes }, JSON.stringify(said));
  assert.match(difference ?? '', /^models\[0\]\.full: Ollama has .*other.*the policy .*tiny/);
  assert.equal(side, 'both');
  const refused = compare({ type: 'ollama.generate', bytes: Buffer.from('{"model":1}') }, JSON.stringify(said));
  assert.deepEqual(refused, { difference: undefined, side: 'only Ollama', reason: 'missing_model' });
});

test('a failing document is cut down to what makes it fail', async () => {
  const bytes = Buffer.from('{"a":[1,2,{"b":"c"}],"bad":true,"long":"0123456789012345678901234567890123456789"}');
  const small = await minimise(bytes, (candidate) => Promise.resolve(candidate.includes('"bad":')));
  assert.equal(small.toString(), '"bad":');
});

test('what Ollama once read otherwise is refused, or read as Ollama reads it', async () => {
  const kept = new Map<string, Ours>();
  for (const document of await loadKept()) kept.set(document.name, readOurs(document));
  const refused = [...kept]
    .filter(([, ours]) => ours.refused !== undefined)
    .map(([name, ours]) => [name, ours.refused]);
  assert.deepEqual(refused, [
    ['ollama.chat.image-of-numbers', 'invalid_member'],
    ['ollama.generate.image-of-numbers', 'invalid_member'],
    ['openai.chat.arguments-half-a-pair', 'invalid_arguments'],
    ['openai.chat.content-empty-list', 'invalid_member'],
    ['openai.chat.format-before-space', 'invalid_member'],
    ['openai.chat.format-next-line', 'invalid_member'],
  ]);
  const format = kept.get('openai.chat.format-empty-schema');
  assert.ok(format !== undefined && format.refused === undefined);
  assert.equal(format.input.format, undefined);
  for (const name of ['system-of-nothing', 'system-of-empty-blocks']) {
    const system = kept.get(`anthropic.messages.${name}`);
    assert.ok(system !== undefined && system.refused === undefined, name);
    assert.equal(system.input.has_system_prompt, false, name);
  }
  const search = kept.get('anthropic.messages.search-result-of-nothing');
  assert.ok(search !== undefined && search.refused === undefined);
  assert.equal(search.input.prompt_bytes, Buffer.byteLength('null'));
});
