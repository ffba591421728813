import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import { readNaively } from './naive-json.ts';
import { createRandom } from './random.ts';
import { assertRefused, codeOf } from './refusals.ts';

function guardChat(args: unknown): void {
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: args } };
  const body = { model: 'tiny', messages: [{ role: 'assistant', tool_calls: [call] }] };
  guardJson(Buffer.from(JSON.stringify(body)), knownMembers['openai.chat']);
}

function guardResponses(args: unknown): void {
  const body = { model: 'tiny', input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: args }] };
  guardJson(Buffer.from(JSON.stringify(body)), knownMembers['openai.responses']);
}

const long = JSON.stringify('Some text of some length.\n'.repeat(400));

/** Ollama 0.17.4 decodes the string by `json.Unmarshal` into an ordered map. */
const twofold = [
  '{"a":1,"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"a":{"b":[{"c":1,"c":null}]}}',
  '{"a":"\\ud800"}',
  '{"\\udc00":1}',
  '{"a":1} {"a":2}',
  '{"a":1}x',
  '{"a":1e400}',
  '\ufeff{}',
  '[{"a":1}]',
  'null',
  '"{}"',
  'a=1',
  '{"a":1,}',
  '{"a":"\n"}',
  ' ',
  `{"a":${long},"a":1}`,
  `{"a":${long}}}`,
  `{"a":${long.slice(0, -1)}\\udfff"}`,
  `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`,
];

test('arguments that two readers could read in two ways are refused, short and long', () => {
  for (const text of twofold) {
    assertRefused(() => guardChat(text), 'invalid_arguments', text.slice(0, 80));
    assertRefused(() => guardResponses(text), 'invalid_arguments', text.slice(0, 80));
  }
});

test('arguments that are one object pass, and so does an empty string', () => {
  for (const text of [
    '',
    '{}',
    ' {"City":"Paris","city":"é😀"}\n',
    '{"model":1,"MODEL":2}',
    `{"a":${long},"b":${long}}`,
  ]) {
    guardChat(text);
    guardResponses(text);
  }
  guardChat(null);
});

test('the refusal names the code, and none of the text', () => {
  const error = assertRefused(() => guardChat('{"secret":1,"secret":2}'), 'invalid_arguments');
  assert.match(error.message, /duplicate_member/);
  assert.doesNotMatch(error.message, /secret/);
});

test('only a string that Ollama decodes is read as JSON', () => {
  const call = { function: { name: 'f', arguments: { a: 'no JSON' } } };
  const body = {
    model: 'a',
    messages: [{ role: 'user', content: '{"a":1,"a":2}', tool_calls: [call] }],
    arguments: '{',
  };
  guardJson(Buffer.from(JSON.stringify(body)), knownMembers['ollama.chat']);
  guardJson(Buffer.from(JSON.stringify({ ...body, messages: [] })), knownMembers['openai.chat']);
});

test('random damage passes only where a naive reader finds one object without duplicates', () => {
  const random = createRandom(20261123);
  const whole = '{"a":{"b":[1,"x\\n",{"c":null}]},"d":"é","\\u0065":{"a":1}}';
  let passed = 0;
  for (let round = 0; round < 2000; round++) {
    const at = random(whole.length);
    const noise = '"\\:,{}[] 1aé'.charAt(random(12));
    const text =
      random(2) === 0
        ? whole.slice(0, at) + noise + whole.slice(at + random(2))
        : whole.slice(0, at) + whole.slice(at + 1);
    if (codeOf(() => guardChat(text)) !== undefined) continue;
    assert.equal(readNaively(text).duplicate, false, text);
    passed++;
  }
  assert.ok(passed > 50 && passed < 1900, `${passed} passed`);
});
