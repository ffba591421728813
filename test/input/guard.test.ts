import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import type { RequestType } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

function guard(body: string | Buffer, request: RequestType = 'ollama.chat') {
  return guardJson(typeof body === 'string' ? Buffer.from(body) : body, knownMembers[request]);
}

function assertEachRefused(code: ErrorCode, bodies: ReadonlyArray<string | Buffer>, request?: RequestType): void {
  for (const body of bodies) assertRefused(() => guard(body, request), code, body.toString('latin1').slice(0, 100));
}

test('an object passes as the bytes that it came as', () => {
  const bytes = Buffer.from(' \t\r\n{ "model" : "tiny", "x": [1, -0.5e3, true, null, {"é": "😀"}] }\n ');
  const guarded = guardJson(bytes, knownMembers['ollama.chat']);
  assert.equal(guarded.bytes, bytes);
  assert.deepEqual(guarded.value, { model: 'tiny', x: [1, -500, true, null, { é: '😀' }] });
  assert.equal(bytes[guarded.start], 0x7b);
  assert.equal(bytes[guarded.end - 1], 0x7d);
  assert.deepEqual(guard('{}').value, {});
});

test('escapes are the same in keys and values for every reader', () => {
  assert.deepEqual(guard('{"m\\u006fdel":"t\\u0069ny","x":"\\ud83d\\ude00\\"\\\\"}').value, {
    model: 'tiny',
    x: '😀"\\',
  });
});

test('a missing body is told from a wrong one', () => {
  assertEachRefused('missing_body', ['', ' ', '\n\t\r ']);
});

test('a byte-order mark is refused, in any encoding', () => {
  assertEachRefused('byte_order_mark', [
    '\ufeff{"model":"tiny"}',
    Buffer.from('\ufeff{}', 'utf16le'),
    Buffer.from([0xfe, 0xff, 0x00, 0x7b]),
  ]);
});

test('what is not UTF-8 is refused', () => {
  assertEachRefused('invalid_utf8', [
    Buffer.from('{"model":"tiny\xff"}', 'latin1'),
    Buffer.from('{"mod\xc1\xa5l":"tiny"}', 'latin1'),
    Buffer.from('{"x":"\xed\xa0\x80"}', 'latin1'),
    Buffer.from('{"x":"\xc3', 'latin1'),
    Buffer.from('{"x":"\xf5\x80\x80\x80"}', 'latin1'),
  ]);
});

test('UTF-16 without a mark is no JSON', () => {
  assertEachRefused('invalid_json', [Buffer.from('\0{\0}', 'latin1')]);
  assertEachRefused('trailing_data', [Buffer.from('{"model":"tiny"}', 'utf16le')]);
});

test('brackets that do not match are refused', () => {
  assertEachRefused('invalid_json', ['{"x":[}', '{"x":[}}', '{"x":1]', '{"x":{]}']);
  assertEachRefused('trailing_data', ['{"x":]}', '{]}']);
});

test('what is not JSON is refused', () => {
  assertEachRefused('invalid_json', [
    "{'model':'tiny'}",
    '{model:"tiny"}',
    '{"x":1,}',
    '{"x":[1,]}',
    '{/*c*/"x":1}',
    '{"x":NaN}',
    '{"x":01}',
    '{"x":+1}',
    '{"x":.5}',
    '{"x":"a\nb"}',
    '{"x":"\\x"}',
    '{"x":"\\u12"}',
    '{"x":1',
    '{"x":"',
    '{"x":"\\"}',
    '{"x"}',
    '{"x"::1}',
    '{"x":1:2}',
    '{:}',
    '{',
    '{"x":1]',
    '\u00a0{}',
    '\u2028{}',
    'hello',
    '{}'.slice(1),
  ]);
});

test('only an object is taken', () => {
  assertEachRefused('not_an_object', ['null', '[{"model":"tiny"}]', '"x"', '5', 'true', ' []', '-1']);
});

test('nothing may follow the object, where Ollama reads no further', () => {
  assertEachRefused('trailing_data', ['{} x', '{}{"model":"nope"}', '{}}', '{}\0', '{},', '{"a":{}} ]', '{}\ufeff']);
});

test('64 levels are enough for everyone', () => {
  const nested = (levels: number) => `{"x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  guard(nested(64));
  assertEachRefused('too_deep', [
    nested(65),
    nested(9000),
    nested(2_000_000),
    `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`,
  ]);
  guard(`{"x":"${'['.repeat(100)}"}`);
});

test('the work that a body makes is bounded', () => {
  const list = (element: string, count: number) => `{"x":[${Array(count).fill(element).join(',')}]}`;
  guard(list('1', 900_000));
  guard(list('{}', 80_000));
  assertEachRefused('too_complex', [list('1', 1_100_000), list('[]', 100_000), list('{"a":1}', 60_000)]);
});

test('a duplicate is refused at any depth, in maps too, compared after unescaping', () => {
  assertEachRefused('duplicate_member', [
    '{"model":"a","model":"b"}',
    '{"model":"a","model":null}',
    '{"model":"a","m\\u006fdel":"b"}',
    '{"x":{"a":1,"a":1}}',
    '{"options":{"num_predict":2,"num_predict":3}}',
    '{"messages":[{"role":"user","content":"A","content":null}]}',
    '{"x":[[[{"":1,"":2}]]]}',
    '{"é":1,"\\u00e9":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"1":1,"1":2}',
    '{"\\ud83d\\ude00":1,"😀":2}',
    '{"a":{"b":1,"b":{"c":1}}}',
    '{"a":{"b":{"c":1},"b":1}}',
  ]);
});

test('colons in strings do not count, however they are quoted', () => {
  const text = ':\\":{}[],\\\\';
  guard(`{"x":"${text}","y:":"\\\\","z":"${':'.repeat(1000)}\\""}`);
});

test('the same key in different objects is no duplicate', () => {
  guard('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}');
});

test('keys named like what objects inherit are members like any other', () => {
  const { value } = guard('{"__proto__":{"x":1},"constructor":1,"toString":null,"hasOwnProperty":2}');
  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor', 'toString', 'hasOwnProperty']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal('x' in {}, false);
});

test('a key that Ollama takes for a known member is refused', () => {
  assertEachRefused('ambiguous_member', [
    '{"MODEL":"a"}',
    '{"model":"a","Model":"b"}',
    '{"mOdEl":"a"}',
    '{"me\u017f\u017fages":[]}',
    '{"\\u017ftream":true}',
    '{"\u212aeep_alive":0}',
    '{"thin\\u212a":true}',
    '{"Messages":null}',
    '{"_DEBUG_render_only":true}',
    '{"Options":{}}',
    '{"messages":[{"Role":"system"}]}',
    '{"messages":[{},{"content":"a","Content":"b"}]}',
    '{"messages":[{"tool_calls":[{"Function":{}}]}]}',
    '{"messages":[{"tool_calls":[{"function":{"ARGUMENTS":{}}}]}]}',
    '{"tools":[{"function":{"Name":"x"}}]}',
    '{"tools":[{"function":{"parameters":{"Properties":{}}}}]}',
    '{"tools":[{"function":{"parameters":{"$Defs":{}}}}]}',
    '{"tools":[{"function":{"parameters":{"properties":{"city":{"Type":"string"}}}}}]}',
    '{"tools":[{"function":{"parameters":{"properties":{"city":{"anyof":[]}}}}}]}',
    '{"tools":[{"function":{"parameters":{"properties":{"a":{"anyOf":[{"properties":{"b":{"ENUM":[]}}}]}}}}}]}',
  ]);
  assertEachRefused('ambiguous_member', ['{"System":""}', '{"\u017fuffix":""}', '{"Context":[]}'], 'ollama.generate');
  assertEachRefused(
    'ambiguous_member',
    [
      '{"Max_Tokens":1}',
      '{"stream_options":{"Include_Usage":true}}',
      '{"response_format":{"json_schema":{"Schema":{}}}}',
    ],
    'openai.chat',
  );
});

test('the refusal says how to write the member, not how it was written', () => {
  const refusal = assertRefused(() => guard('{"MODEL":"a"}'), 'ambiguous_member');
  assert.match(refusal.message, /"model"/);
  assert.doesNotMatch(refusal.message, /MODEL/);
});

test('where Ollama takes keys exactly, any spelling passes', () => {
  guard('{"options":{"Num_Predict":1,"NUM_PREDICT":2,"num_predict":3,"Model":"x"}}');
  guard('{"format":{"Type":"object","type":"object","Properties":{}}}');
  guard('{"tools":[{"items":{"Type":1},"function":{"parameters":{"properties":{"City":{},"city":{}}}}}]}');
  guard('{"tools":[{"function":{"parameters":{"$defs":{"Type":1,"type":1}}}}]}');
  guard('{"messages":[{"tool_calls":[{"function":{"arguments":{"City":1,"city":2,"Name":1}}}]}]}');
  guard('{"messages":[{"content":[{"Type":"text","Text":"x"}]}]}', 'openai.chat');
  guard('{"metadata":{"Model":"x","MODEL":"y"}}');
  guard('{"Max_Tokens":1,"SYSTEM":"","keepalive":1,"mode\\u0000l":1," model":1,"\uff4dodel":1}');
});

test('what is not JSON is refused beside a key with an escape too', () => {
  const around = (inner: string) => `{"\\u0061":1,${inner}}`;
  guard(around('"b":[{"\\n":{}} , 2 ]'));
  assertEachRefused('invalid_json', [
    '{"\\u0061"}',
    '{"\\u0061" 1}',
    '{"\\u00":1}',
    '{"\\x":1}',
    '{"\\n":}',
    '{"\\n":1,}',
    '{,"\\n":1}',
    '{"\\n"::1}',
    '{"\\n":1 2}',
    '{1:"\\n":2}',
    around('b:1'),
    around('"b":01'),
    around('"b":[1,,2]'),
    around('"b":[{"\\n":1},]'),
    around('"b":[,{"\\n":1}]'),
    around('"b":[{"\\n":1]]'),
    around('"b":{"\\n":1]'),
    around('"b":tru'),
    around('"b":"\t"'),
  ]);
});

test('a key with an escape is read rightly by a V8 that was made to guess it wrong', () => {
  // Each pair: a body that leaves V8 with a guess, and one whose key begins like it (nodejs/node issue 63785).
  guard('{"model":"a","\\\\u006":1}');
  assertEachRefused('duplicate_member', ['{"model":"a","\\u006dodel":"b"}']);
  guard('{"\\\\u006":1}');
  assert.deepEqual(guard('{"\\u006dodel":"b"}').value, { model: 'b' });
  guard('{"x":{"\\\\":1}}');
  assert.deepEqual(guard('{"x":{"\\u0062":[{"\\n":1}]}}').value, { x: { b: [{ '\n': 1 }] } });
  guard('{"model":"a","\\\\u00":1}');
  assertEachRefused('ambiguous_member', ['{"model":"a","\\u004dODEL":"b"}', '{"\\u004dODEL":"b"}']);
});

test('half a surrogate pair is refused in keys and values', () => {
  assertEachRefused('lone_surrogate', [
    '{"x":"\\ud800"}',
    '{"x":"\\uDC00a"}',
    '{"x":"\\ud800\\ud800\\udc00"}',
    '{"x":["a","\\udfff"]}',
    '{"\\ud83d":1}',
    '{"x":{"a\\uD83Db":1}}',
  ]);
});

test('what only looks like half a pair passes', () => {
  guard('{"x":"\\\\ud800","y":"\\\\\\ud83d\\ude00","z":"\\u00d8"}');
});

test('a number that is Infinity here is refused', () => {
  assertEachRefused('invalid_member', [
    '{"x":1e400}',
    '{"options":{"num_predict":-1e999}}',
    `{"x":[1${'0'.repeat(400)}]}`,
  ]);
  guard('{"x":1e300,"y":1e-400,"z":-0,"big":9007199254740993}');
});

test('no refusal repeats what was sent', () => {
  for (const body of [
    '{"secret":',
    '{"x":1,}secret',
    'secret',
    '{"secret":1,"secret":2}',
    '{"x":secret}',
    '"secret"',
  ]) {
    let message = '';
    try {
      guard(body);
    } catch (error) {
      message = String(error);
    }
    assert.match(message, /RequestError/);
    assert.doesNotMatch(message, /secret/);
  }
});
