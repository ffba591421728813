/** JSON in which no integer loses a digit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mayLoseDigits, parseExactJson } from '../../src/exact-json.ts';

test('what is read is written again with every digit', () => {
  for (const text of [
    '9007199254740993',
    '-9007199254740993',
    '[1,{"a":123456789012345678901234567890,"b":0.5}]',
    '{"__proto__":9007199254740993,"e":1e+100}',
  ]) {
    assert.equal(JSON.stringify(parseExactJson(text)), text);
  }
});

test('numbers that JavaScript holds are numbers', () => {
  const text = '[9007199254740992,1767225600000000000,1e3,-0.1,100000000000000000000,9007199254740991]';
  assert.deepEqual(parseExactJson(text), JSON.parse(text));
  assert.equal(mayLoseDigits(text), false);
  assert.equal(mayLoseDigits('"9007199254740993"'), true);
});

test('a number beyond every other and what is no JSON are refused', () => {
  for (const text of ['1e400', '[-1e309]', '{"a":', '9007199254740993x']) {
    assert.throws(() => parseExactJson(text), SyntaxError, text);
  }
});
