import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { foldKey, knownMembers, type Shape } from '../../src/input/guard/known-members.ts';

/** Written by scripts/known-members from Ollama's Go types. */
const fromGo: { readonly ollama: string; readonly requests: Readonly<Record<string, unknown>> } = JSON.parse(
  readFileSync(new URL('known-members.json', import.meta.url), 'utf8'),
);

/** The table in the form of the Go program; a shape inside of itself is named as it names it. */
function describe(shape: Shape, outer: readonly Shape[] = []): unknown {
  if (outer.includes(shape)) return { again: 'ToolProperty' };
  switch (shape.kind) {
    case 'free':
    // A string in Go.
    case 'json':
      return 'free';
    case 'list':
    case 'map':
      return { [shape.kind]: describe(shape.of, outer) };
    case 'struct': {
      const members = [...shape.members].map(([name, member]) => [name, describe(member, [...outer, shape])]);
      return { struct: Object.fromEntries(members) };
    }
  }
}

test("the table of known members is that of Ollama's Go types", () => {
  assert.equal(fromGo.ollama, 'v0.17.4');
  assert.deepEqual(Object.keys(knownMembers).sort(), Object.keys(fromGo.requests).sort());
  for (const [request, shape] of Object.entries(knownMembers)) {
    assert.deepEqual(describe(shape), fromGo.requests[request], request);
  }
});

test('keys fold as in Go: ASCII case, the long s, the Kelvin sign, and nothing else', () => {
  assert.equal(foldKey('MODEL'), 'model');
  assert.equal(foldKey('me\u017f\u017fages'), 'messages');
  assert.equal(foldKey('thin\u212a'), 'think');
  assert.notEqual(foldKey('\uff4dodel'), 'model');
  assert.notEqual(foldKey('m\u0130n_p'), 'min_p');
  assert.notEqual(foldKey('opt\u0131ons'), 'options');
});

test('no code point beside these folds to an ASCII letter', () => {
  const folding: string[] = [];
  for (let codePoint = 0x80; codePoint < 0x110000; codePoint++) {
    if (codePoint >= 0xd800 && codePoint < 0xe000) continue;
    const character = String.fromCodePoint(codePoint);
    if (/^[ -~]$/.test(foldKey(character))) folding.push(codePoint.toString(16));
  }
  assert.deepEqual(folding, ['17f', '212a']);
});
