/** Where a module belongs, told without OPA's parser: whatever is not plain must not pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findDocumentOutside, findModulesOutside, overlaps, readRoots } from '../../src/policy/roots.ts';

const outside = (text: string, ...roots: readonly string[]) =>
  findModulesOutside(roots, { 'a.rego': text }).map(({ row, message }) => `${row}: ${message.split(';')[0]}`);

test('a package is found behind comments and blanks, in every plain way to write it', () => {
  const inside = [
    'package a.b',
    'package a.b.c # why\n',
    '# package x\n\n\t package  a.b\r\n\r\nallow := true',
    'package a["b"].c\nimport rego.v1',
    'package a[`b`]',
    'package a.b;allow := true',
  ];
  for (const text of inside) assert.deepEqual(outside(text, 'c', 'a/b'), [], text);
  assert.deepEqual(outside('package a', 'a/b'), ['1: package a is outside']);
  assert.deepEqual(outside('package a.bc', 'a/b'), ['1: package a.bc is outside']);
  assert.deepEqual(outside('#\n#\npackage b', 'a'), ['3: package b is outside']);
  assert.deepEqual(outside('package a.b'), ['1: package a.b is outside']);
  assert.deepEqual(outside('package anything', ''), []);
});

test('a package that is not plain is refused, because nobody can say where it is', () => {
  const unclear = [
    '',
    'allow := true',
    'package',
    'package\na',
    'package a.b\n.c',
    'package a.b # d\n ["c"]',
    'package a["\\u0062"]',
    'package a.b.',
    'package a.ö',
    'package a[b]',
    'package a.b allow',
  ];
  for (const text of unclear)
    assert.deepEqual(outside(text, 'a'), ['undefined: its package can not be told for sure'], text);
});

test('data is looked at as deep as roots go', () => {
  const find = (value: unknown, at: readonly string[], ...roots: readonly string[]) => {
    const bytes = Buffer.from(JSON.stringify(value));
    return findDocumentOutside(roots, { file: 'data.json', bytes, at, value })?.message.split(';')[0];
  };
  assert.equal(find({ a: { b: 1 } }, [], 'a/b'), undefined);
  assert.equal(find({ a: { b: 1, c: 1 } }, [], 'a/b'), 'data.a.c is outside');
  assert.equal(find({ a: 1 }, [], 'a/b'), 'data.a is outside');
  assert.equal(find({ a: [1] }, [], 'a/b'), 'data.a is outside');
  assert.equal(find({ b: 1 }, ['a'], 'a/b'), undefined);
  assert.equal(find({}, ['x'], 'a/b'), 'data.x is outside');
  assert.equal(find({ a: {} }, [], 'a/b'), undefined);
  assert.equal(find({ anything: 1 }, [], ''), undefined);
});

test('roots overlap where one holds the other, segment by segment', () => {
  assert.equal(overlaps('a', 'a/b'), true);
  assert.equal(overlaps('a/b', 'a'), true);
  assert.equal(overlaps('', 'a'), true);
  assert.equal(overlaps('a/b', 'a/bc'), false);
  assert.deepEqual(readRoots(['/a/', 'b'], 'x'), ['a', 'b']);
  assert.deepEqual(readRoots(undefined, 'x'), ['']);
  assert.deepEqual(readRoots([], 'x'), []);
  assert.throws(() => readRoots(['a', 1], 'x'), /no list of strings/);
});
