import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import { locateMember } from '../../src/input/guard/locate.ts';

function locate(text: string, ...path: string[]) {
  const json = guardJson(Buffer.from(text), knownMembers['openai.chat']);
  const range = locateMember(json, path);
  return (
    range && [
      json.bytes.toString('utf8', range.keyStart, range.start),
      json.bytes.toString('utf8', range.start, range.end),
    ]
  );
}

test('a member is found with its key and its value', () => {
  const text = ' {"model":"tiny" , "stream" : true,"stream_options" :\n{"include_usage": false } }';
  assert.deepEqual(locate(text, 'model'), ['"model":', '"tiny"']);
  assert.deepEqual(locate(text, 'stream'), ['"stream" : ', 'true']);
  assert.deepEqual(locate(text, 'stream_options'), ['"stream_options" :\n', '{"include_usage": false }']);
  assert.deepEqual(locate(text, 'stream_options', 'include_usage'), ['"include_usage": ', 'false']);
});

test('a key is found however it is escaped', () => {
  assert.deepEqual(locate('{"\\u0073tream":1}', 'stream'), ['"\\u0073tream":', '1']);
});

test('what is not there is not found', () => {
  assert.equal(locate('{}', 'stream'), undefined);
  assert.equal(locate('{"stream":true}', 'stream', 'x'), undefined);
  assert.equal(locate('{"x":[{"stream":1}],"y":"\\"stream\\":1"}', 'stream'), undefined);
  assert.equal(locate('{"x":{"stream":1}}', 'stream'), undefined);
});

test('text that looks like a member is none', () => {
  assert.deepEqual(locate('{"x":"\\",\\"stream\\":false","stream":true}', 'stream'), ['"stream":', 'true']);
  assert.deepEqual(locate('{"x":"}","y":["}",{"stream":0}],"stream":[1,{"a":2}]}', 'stream'), [
    '"stream":',
    '[1,{"a":2}]',
  ]);
});
