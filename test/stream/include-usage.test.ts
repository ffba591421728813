/** The only change that the sidecar makes to judged bytes on its own account: the result is guarded JSON and says just that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applySplices } from '../../src/http/splice.ts';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import { locateMember } from '../../src/input/guard/locate.ts';
import { spliceIncludeUsage } from '../../src/stream/include-usage.ts';

/** @returns the new text, or undefined where nothing is to be changed */
function splice(text: string): string | undefined {
  const guarded = guardJson(Buffer.from(text), knownMembers['openai.chat']);
  const change = spliceIncludeUsage(guarded.bytes, {
    documentEnd: guarded.end,
    streamOptions: locateMember(guarded, ['stream_options']),
    includeUsage: locateMember(guarded, ['stream_options', 'include_usage']),
  });
  if (change === undefined) return undefined;
  assert.equal(change.name, 'include_usage');
  const spliced = applySplices(guarded.bytes, [change]);
  // What was judged before and behind the change is there byte for byte.
  assert.equal(spliced.toString('utf8', 0, change.start), text.slice(0, change.start));
  const rest = text.length - change.end;
  if (rest > 0) assert.equal(spliced.toString().slice(-rest), text.slice(change.end));
  return spliced.toString();
}

const include = { stream_options: { include_usage: true } };

const changed: readonly string[] = [
  '{"model":"m"}',
  '{"model":"m","stream":true}',
  '{"model":"m" }',
  ' \n{ "model" : "m" \n}\n ',
  '{"model":"m","stream_options":null}',
  '{"model":"m","stream_options":{}}',
  '{"model":"m","stream_options":{ }}',
  '{"model":"m","stream_options":{\n\t\r }}',
  '{"stream_options" : { } , "model":"m"}',
  '{"model":"m","stream_options":{"include_usage":false}}',
  '{"model":"m","stream_options":{"include_usage":null}}',
  '{"model":"m","stream_options":{ "include_usage" : false }}',
  '{"model":"m","stream_options":{"x":1}}',
  '{"model":"m","stream_options":{ "x":{"include_usage":true} }}',
  '{"model":"m","messages":[{"role":"user","content":"\\"stream_options\\":{\\"include_usage\\":true}"}]}',
  '{"model":"m","x":{"stream_options":{"include_usage":true}}}',
  '{"model":"m","stop":["}","]","\\\\"]}',
];

for (const text of changed) {
  test(`asks in ${JSON.stringify(text)}`, () => {
    const spliced = splice(text);
    assert.ok(spliced !== undefined);
    const before = JSON.parse(text);
    assert.deepEqual(JSON.parse(spliced), {
      ...before,
      stream_options: { ...before.stream_options, ...include.stream_options },
    });
    guardJson(Buffer.from(spliced), knownMembers['openai.chat']);
    assert.equal(splice(spliced), undefined, 'asked once, it needs no more asking');
  });
}

for (const value of [
  '{"include_usage":true}',
  '{ "include_usage" : true }',
  '{"x":1,"include_usage":true}',
  '{"include_usage":1}',
  '{"include_usage":"false"}',
  '{"include_usage":{}}',
  '{"include_usage":[]}',
  '[]',
  '[{}]',
  '""',
  '"{}"',
  '0',
  'true',
  'false',
]) {
  test(`leaves stream_options ${value} to Ollama as it is`, () => {
    assert.equal(splice(`{"model":"m","stream_options":${value}}`), undefined);
  });
}

test('multi-byte characters before it do not move it', () => {
  const text = '{"model":"m","messages":[{"role":"user","content":"é😀"}],"stream_options":{"include_usage":false}}';
  const guarded = guardJson(Buffer.from(text), knownMembers['openai.chat']);
  const change = spliceIncludeUsage(guarded.bytes, {
    documentEnd: guarded.end,
    streamOptions: locateMember(guarded, ['stream_options']),
    includeUsage: locateMember(guarded, ['stream_options', 'include_usage']),
  });
  assert.ok(change !== undefined);
  assert.equal(applySplices(guarded.bytes, [change]).toString(), text.replace('false', 'true'));
});
