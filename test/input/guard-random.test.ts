import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../src/errors.ts';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers, type Shape } from '../../src/input/guard/known-members.ts';
import { locateMember } from '../../src/input/guard/locate.ts';
import { readNaively, toNaive } from './naive-json.ts';
import { createRandom } from './random.ts';
import { codeOf } from './refusals.ts';

const seed = 20261121;
const free: Shape = { kind: 'free' };

/** A document, and what a naive reader notes while it writes it. */
interface Written {
  text: string;
  duplicate: boolean;
}

const keys = [
  'a',
  'b',
  'model',
  'Model',
  '',
  '"',
  '\\',
  ':',
  '{',
  'é',
  '😀',
  '__proto__',
  '1',
  '01',
  'a"b:',
  '[',
  '\u2028',
];
const scalars = ['1', '-0', '1.5e3', 'true', 'null', '""', '":"', '"\\""', '"\\\\"', '"{\\"a\\":1,\\"a\\":2}"', '"]é"'];

function write(random: (below: number) => number, depth: number): Written {
  const kind = depth === 0 ? 0 : random(4);
  const space = () => ' \n\t\r'.slice(0, random(3) === 0 ? random(4) : 0);
  if (kind > 2 || (depth > 0 && kind === 0 && random(3) > 0)) return { text: pick(scalars, random), duplicate: false };
  const parts: string[] = [];
  const seen = new Set<string>();
  let duplicate = false;
  for (let count = random(5); count > 0; count--) {
    const inner = depth > 4 ? { text: pick(scalars, random), duplicate: false } : write(random, depth + 1);
    duplicate ||= inner.duplicate;
    if (kind === 1) {
      parts.push(`${space()}${inner.text}${space()}`);
      continue;
    }
    const key = pick(keys, random);
    duplicate ||= seen.has(key);
    seen.add(key);
    parts.push(`${space()}${writeKey(key, random)}${space()}:${space()}${inner.text}${space()}`);
  }
  const text = kind === 1 ? `[${parts.join(',')}]` : `{${parts.join(',')}${parts.length === 0 ? space() : ''}}`;
  return { text, duplicate };
}

function pick<T>(list: readonly T[], random: (below: number) => number): T {
  const one = list[random(list.length)];
  assert.ok(one !== undefined);
  return one;
}

/** A key as JSON, some of its UTF-16 units escaped. */
function writeKey(key: string, random: (below: number) => number): string {
  if (random(3) > 0) return JSON.stringify(key);
  const escaped = [...Array(key.length).keys()].map((at) => `\\u${key.charCodeAt(at).toString(16).padStart(4, '0')}`);
  return `"${escaped.join('')}"`;
}

test('duplicates are found exactly where a naive writer put them', () => {
  const random = createRandom(seed);
  let duplicates = 0;
  for (let round = 0; round < 4000; round++) {
    const { text, duplicate } = write(random, 0);
    const code = codeOf(() => guardJson(Buffer.from(text), free));
    assert.equal(code, duplicate ? 'duplicate_member' : undefined, `seed ${seed}, round ${round}: ${text}`);
    assert.equal(readNaively(text).duplicate, duplicate);
    if (duplicate) duplicates++;
  }
  assert.ok(duplicates > 400 && duplicates < 3600, `${duplicates} of 4000 documents held duplicates`);
});

test('a document that is damaged passes only if it is still JSON without duplicates', () => {
  const random = createRandom(seed + 1);
  let passed = 0;
  for (let round = 0; round < 4000; round++) {
    const bytes = Buffer.from(write(random, 0).text);
    const at = random(bytes.length);
    const noise = pick([0x22, 0x5c, 0x3a, 0x2c, 0x7b, 0x7d, 0x5b, 0x5d, 0x20, 0x00, 0xff, 0x31], random);
    const damaged =
      random(2) === 0
        ? Buffer.concat([bytes.subarray(0, at), Buffer.from([noise]), bytes.subarray(at)])
        : Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    const code = codeOf(() => {
      const { value } = guardJson(damaged, free);
      const naive = readNaively(new TextDecoder('utf-8', { fatal: true }).decode(damaged));
      assert.equal(naive.duplicate, false, damaged.toString());
      assert.deepEqual(toNaive(value), toNaive(naive.value));
    });
    if (code === undefined) passed++;
  }
  assert.ok(passed > 100, `${passed} damaged documents passed`);
});

test('small and large bodies are read alike', () => {
  const random = createRandom(seed + 4);
  const read = (bytes: Buffer) => {
    try {
      return toNaive(guardJson(bytes, free).value);
    } catch (error) {
      return error instanceof RequestError ? error.code : error;
    }
  };
  for (let round = 0; round < 4000; round++) {
    const bytes = Buffer.from(write(random, 0).text);
    if (random(2) === 0)
      bytes[random(bytes.length)] = pick([0x22, 0x5c, 0x3a, 0x2c, 0x7b, 0x7d, 0x0a, 0xff, 0x31], random);
    // What pads stands before and behind, so that windows begin elsewhere too; it means nothing to any reader.
    const padded = Buffer.concat([Buffer.alloc(random(5000), ' '), bytes, Buffer.alloc(5000, '\n')]);
    assert.deepEqual(read(padded), read(bytes), `seed ${seed}, round ${round}: ${bytes}`);
  }
});

test('no member passes twice, however it is spelled and whatever the second one says', () => {
  // Ollama: null leaves strings and booleans standing and resets pointers and maps; arrays and maps merge.
  const values = ['null', '1', 'true', '"x"', '[]', '[{}]', '{}', '{"a":1}', '[{"a":null}]'];
  const random = createRandom(seed + 5);
  for (const shape of Object.values(knownMembers)) {
    for (const [path, name] of structMembers(shape)) {
      const spell = () => writeKey(name, random);
      const inside = `{${spell()}:${pick(values, random)},"between":1,${spell()}:${pick(values, random)}}`;
      assert.equal(codeOf(() => guardJson(Buffer.from(path(inside)), shape)) !== undefined, true, path(inside));
    }
  }
  // In maps and free values too.
  for (const name of ['options', 'format', 'metadata', 'unknown', 'template']) {
    for (const first of values) {
      for (const second of values) {
        const body = `{"${name}":{"deep":[{"a":${first},"\\u0061":${second}}]}}`;
        assert.equal(
          codeOf(() => guardJson(Buffer.from(body), free)),
          'duplicate_member',
          body,
        );
      }
    }
  }
});

test('every member is located where it stands', () => {
  const random = createRandom(seed + 2);
  let located = 0;
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(` ${write(random, 0).text}`);
    if (codeOf(() => guardJson(bytes, free)) !== undefined) continue;
    const json = guardJson(bytes, free);
    const visit = (object: Readonly<Record<string, unknown>>, path: readonly string[]) => {
      for (const [name, value] of Object.entries(object)) {
        const range = locateMember(json, [...path, name]);
        assert.ok(range !== undefined, `${path}.${name} of ${bytes}`);
        const text = bytes.toString('utf8', range.start, range.end);
        assert.equal(text, text.trim());
        assert.deepEqual(toNaive(readNaively(text).value), toNaive(value));
        const member = readNaively(`{${bytes.toString('utf8', range.keyStart, range.end)}}`);
        assert.deepEqual(toNaive(member.value), toNaive(Object.fromEntries([[name, value]])));
        located++;
        if (typeof value === 'object' && value !== null && !Array.isArray(value)) visit({ ...value }, [...path, name]);
      }
    };
    visit(json.value, []);
  }
  assert.ok(located > 1000, `${located} members`);
});

test('hostile spellings of known members are refused wherever Ollama reads a struct', () => {
  const random = createRandom(seed + 3);
  for (const shape of Object.values(knownMembers)) {
    for (const [path, name] of structMembers(shape)) {
      const spelled = misspell(name, random);
      if (spelled === name) continue;
      const text = path(`{${JSON.stringify(spelled)}:null}`);
      assert.equal(
        codeOf(() => guardJson(Buffer.from(text), shape)),
        'ambiguous_member',
        text,
      );
      assert.equal(
        codeOf(() => guardJson(Buffer.from(path(`{${JSON.stringify(name)}:null}`)), shape)),
        undefined,
      );
    }
  }
});

type Wrap = (inner: string) => string;

/** Every member of every struct, with what stands around the struct; three levels of what holds itself. */
function* structMembers(shape: Shape, wrap: Wrap = (inner) => inner, depth = 0): Generator<[Wrap, string]> {
  if (shape.kind === 'list') yield* structMembers(shape.of, (inner) => wrap(`[${inner}]`), depth);
  if (shape.kind === 'map') yield* structMembers(shape.of, (inner) => wrap(`{"Any Key":${inner}}`), depth);
  if (shape.kind !== 'struct' || depth > 8) return;
  for (const [name, member] of shape.members) {
    yield [wrap, name];
    yield* structMembers(member, (inner) => wrap(`{${JSON.stringify(name)}:${inner}}`), depth + 1);
  }
}

function misspell(name: string, random: (below: number) => number): string {
  const letters = [...name];
  for (let tries = 0; tries < 3; tries++) {
    const at = random(letters.length);
    const letter = letters[at] ?? '';
    const others = [letter.toUpperCase(), letter.toLowerCase()];
    if (letter === 's') others.push('\u017f');
    if (letter === 'k') others.push('\u212a');
    letters[at] = pick(others, random);
  }
  return letters.join('');
}
