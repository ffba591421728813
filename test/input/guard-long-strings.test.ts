import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers, type Shape } from '../../src/input/guard/known-members.ts';
import { layout } from '../../src/input/guard/vector-module.ts';
import { judgeSlowly } from './guard-reference.ts';
import { toNaive } from './naive-json.ts';
import { createRandom } from './random.ts';
import { assertRefused, codeOf } from './refusals.ts';

const seed = 20261122;
const free: Shape = { kind: 'free' };
type Random = (below: number) => number;

function pick<T>(list: readonly T[], random: Random): T {
  const one = list[random(list.length)];
  assert.ok(one !== undefined);
  return one;
}

const plain = 'The quick brown fox jumps over the lazy dog, 0123456789+/='.repeat(100);
const usual = [
  '\\n',
  '\\"',
  '\\\\',
  '\\t',
  '\\/',
  '\\b\\f\\r',
  'é',
  '’',
  '你好',
  '😀',
  '\u007f',
  '\\u00e9',
  '\\ud83d\\ude00',
];
const odd = [
  '\\u0000',
  '\\u005c',
  '\\u0022',
  '\\uD83D\\uDE00',
  '\\\\u1234',
  '\\\\\\"',
  '\\u2028',
  '\u2028',
  '{":',
  '\\\\ud800',
];
/** Damage: none of these may pass inside of a string, wherever it stands. */
const wrong = ['\n', '\u0000', '\u001f', '\\x', '\\u12', '\\', '\\ud800', '\\udc00x', '\\ud800\\ud800', '\\u 123', '"'];

/** The inside of a string of some `length` bytes. `extras` stand between runs of plain text. */
function writeInside(length: number, extras: readonly string[], random: Random): string {
  let text = '';
  const run = pick([3, 40, 700, 4000], random);
  while (text.length < length) {
    const at = random(60);
    text += plain.slice(at, at + random(run));
    if (extras.length > 0) text += pick(extras, random);
  }
  return text;
}

function writeBody(random: Random, longest: number): string {
  const members: string[] = [];
  for (let count = 1 + random(6); count > 0; count--) {
    const extras = pick([[], [], usual, [...usual, ...odd], ['\\n']], random);
    const damage = random(8) === 0 ? pick([...wrong, ...odd, 'é'], random) : '';
    const inside = writeInside(random(longest), extras, random);
    const cut = random(pick([inside.length + 1, 60], random));
    const string = damage === '' ? inside : inside.slice(0, cut) + damage + inside.slice(cut);
    // What would be a stand-in for a long string.
    const forged = random(12) === 0 ? `"\\ud800${random(3)}"` : `"${string}"`;
    const key =
      random(10) === 0
        ? `"${writeInside(3000, [], random)}"`
        : `"${pick(['a', 'b', 'c', 'd', 'e', '7', '__proto__'], random)}"`;
    members.push(`${key}:${pick([forged, `[1,${forged},{"x":${forged}}]`, `{"y":${forged}}`], random)}`);
  }
  return `{${members.join(',')}}`;
}

/** @returns whether it passed */
function compare(bytes: Buffer, label: string): boolean {
  const slow = judgeSlowly(bytes);
  let value: unknown;
  const code = codeOf(() => {
    value = guardJson(bytes, free).value;
  });
  if (code !== undefined) {
    assert.ok(slow.faults.has(code), `${label}: ${code}, expected one of [${[...slow.faults]}]`);
    return false;
  }
  assert.deepEqual([...slow.faults], [], label);
  // Twice: a string that was made when it was read stays the same.
  assert.deepEqual(toNaive(value), slow.value, label);
  assert.deepEqual(toNaive(value), slow.value, label);
  return true;
}

test('a body with long strings is read as by a slow and plain reader', () => {
  const random = createRandom(seed);
  let passed = 0;
  const rounds = 1500;
  for (let round = 0; round < rounds; round++) {
    const bytes = Buffer.from(writeBody(random, pick([1500, 6000, 30_000], random)));
    if (random(6) === 0) bytes[random(bytes.length)] = pick([0xff, 0xc3, 0x80, 0x00, 0x22, 0x5c], random);
    if (compare(bytes, `seed ${seed}, round ${round}`)) passed++;
  }
  assert.ok(passed > rounds / 5 && passed < (rounds * 4) / 5, `${passed} of ${rounds} passed`);
});

test('what no string may hold is found at the beginning of a long one too', () => {
  for (let at = 0; at < 130; at++) {
    for (const control of ['\n', '\u0000', '\u001f']) {
      for (const extra of ['', '\\n', 'é']) {
        const body = `{"x":"${plain.slice(0, at)}${control}${plain}${extra}"}`;
        assertRefused(() => guardJson(Buffer.from(body), free), 'invalid_json');
      }
    }
  }
});

test('where a window of bytes ends changes nothing', () => {
  const random = createRandom(seed + 1);
  const { window } = layout;
  for (const special of [...usual, ...odd, ...wrong]) {
    for (let shift = 0; shift < 14; shift++) {
      const lead = writeInside(9, [], random);
      const fill = plain.repeat(Math.ceil(window / plain.length)).slice(0, window - 10 - shift - lead.length);
      const early = random(2) === 0 ? '\\n' : '';
      const body = `{"k":"${early}${fill}${special}${plain}${special}","l":"${lead}"}`;
      compare(Buffer.from(body), `${JSON.stringify(special)} ${shift} bytes before the end of a window`);
    }
  }
});

test('a stand-in that the caller wrote is refused, beside long strings and alone', () => {
  const long = `"${plain}"`;
  for (const body of [
    `{"a":${long},"b":"\\ud8000"}`,
    `{"b":"\\ud8000","a":${long}}`,
    `{"b":["\\uD8001"],"a":[${long},${long}]}`,
    `{"b":"\\ud8001","a":${long}}`,
    `{"b":"\\ud800","a":${long}}`,
    `{"\\ud8000":1,"a":${long}}`,
    `{"b":"\\ud800${' '.repeat(5000)}"}`,
    `{"b":"\\ud80000","a":${long}}`,
  ]) {
    assertRefused(() => guardJson(Buffer.from(body), free), 'lone_surrogate', body.replace(plain, '...'));
  }
  const twice = `{"a":${long},"a":"\\ud8000"}`;
  assertRefused(() => guardJson(Buffer.from(twice), free), 'duplicate_member');
  assertRefused(() => guardJson(Buffer.from(`{"a":"x","a":${long}}`), free), 'duplicate_member');
});

test('a picture is an ordinary member for whoever reads it', () => {
  const picture = Buffer.alloc(300_000, 'QUJD').toString('latin1');
  const text = `line\nline "two" ${'é'.repeat(4000)}`;
  const sent = {
    model: 'tiny',
    messages: [{ role: 'user', content: text, images: [picture, 'short'] }],
    note: picture,
  };
  const { value } = guardJson(Buffer.from(JSON.stringify(sent)), knownMembers['ollama.chat']);
  assert.deepEqual(Object.keys(value), Object.keys(sent));
  assert.equal(JSON.stringify(value), JSON.stringify(sent));
  assert.deepEqual({ ...value }, sent);
  assert.deepEqual(structuredClone(value), sent);
});

test('keys that fold and numbers out of range are found beside long strings', () => {
  const long = JSON.stringify(plain);
  const guard = (body: string) => guardJson(Buffer.from(body), knownMembers['ollama.chat']);
  assertRefused(() => guard(`{"model":"a","system":${long},"MODEL":"b"}`), 'ambiguous_member');
  assertRefused(() => guard(`{"messages":[{"content":${long},"Content":${long}}]}`), 'ambiguous_member');
  assertRefused(() => guard(`{"Model":${long}}`), 'ambiguous_member');
  assertRefused(() => guard(`{"x":${long},"y":1e400}`), 'invalid_member');
  assertRefused(() => guard(`{"x":${long}} x`), 'trailing_data');
  assertRefused(() => guard(`{"x":${long}`), 'invalid_json');
  assertRefused(() => guard(`{"x":"${plain}`), 'invalid_json');
  assertRefused(() => guard(`{"x":"${plain}\\`), 'invalid_json');
});

test('a long string is put back beside a key with an escape, and as a member of any name', () => {
  const long = JSON.stringify(`${plain}\n`);
  const { value } = guardJson(Buffer.from(`{"\\u0061":${long},"__proto__":${long},"7":[${long}],"${plain}":1}`), free);
  assert.deepEqual(Object.entries(value), [
    ['7', [`${plain}\n`]],
    ['a', `${plain}\n`],
    ['__proto__', `${plain}\n`],
    [plain, 1],
  ]);
});
