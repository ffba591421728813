/** What an operation of a delta does to data, as OPA's store does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { applyDelta } from '../../src/policy/delta.ts';

function change(
  data: Record<string, unknown>,
  operations: readonly object[],
  roots: readonly string[] = [''],
): unknown {
  applyDelta(data, { revision: undefined, patch: JSON.stringify({ data: operations }) }, roots);
  return data;
}

const upsert = (path: string, value: unknown) => ({ op: 'upsert', path, value });
const replace = (path: string, value: unknown) => ({ op: 'replace', path, value });
const remove = (path: string) => ({ op: 'remove', path });

test('members are put, made with all above them, replaced and taken out', () => {
  assert.deepEqual(change({}, [upsert('/a/b/c', 1)]), { a: { b: { c: 1 } } });
  assert.deepEqual(change({ a: { b: 1 } }, [upsert('a/b', 2), upsert('/a/d/', null)]), { a: { b: 2, d: null } });
  assert.deepEqual(change({ a: { b: 1 } }, [replace('/a', { c: 1 })]), { a: { c: 1 } });
  assert.deepEqual(change({ a: { b: 1, c: 2 } }, [remove('/a/b')]), { a: { c: 2 } });
  // One after the other: a later one may build on an earlier one.
  assert.deepEqual(change({}, [upsert('/a', { b: 1 }), replace('/a/b', 2), remove('/a/b')]), { a: {} });
});

test('elements of lists are inserted, added behind, replaced and taken out', () => {
  assert.deepEqual(change({ a: [1, 2] }, [upsert('/a/0', 0)]), { a: [0, 1, 2] });
  assert.deepEqual(change({ a: [1] }, [upsert('/a/-', 2), upsert('/a/2', 3)]), { a: [1, 2, 3] });
  assert.deepEqual(change({ a: [1, 2] }, [replace('/a/1', 3), remove('/a/0')]), { a: [3] });
  assert.deepEqual(change({ a: [{ b: 1 }] }, [upsert('/a/0/c', 2)]), { a: [{ b: 1, c: 2 }] });
});

test('paths are read as JSON pointers, percent-encoded as well', () => {
  assert.deepEqual(change({}, [upsert('/a~1b/c~0d/e%20f/g%2Fh', 1)]), { 'a/b': { 'c~d': { 'e f': { 'g/h': 1 } } } });
  assert.deepEqual(change({}, [upsert('/a~01', 1)]), { 'a~1': 1 });
  const changed = change({}, [upsert('/__proto__/polluted', true)]);
  assert.equal(Object.hasOwn(Object(changed), '__proto__'), true);
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('numbers keep every digit', () => {
  const data = {};
  const patch = '{"data": [{"op": "upsert", "path": "/n", "value": 12345678901234567890}]}';
  applyDelta(data, { revision: undefined, patch }, ['']);
  assert.equal(JSON.stringify(data), '{"n":12345678901234567890}');
});

test('what can not be done is refused, with the operation that it is', () => {
  const data = () => ({ a: { b: 1 }, l: [1], s: 'text' });
  const bad: ReadonlyArray<readonly [object, RegExp]> = [
    [replace('/a/c', 1), /data\[0\]: replace "\/a\/c" names what is not there/],
    [remove('/x/y'), /names what is not there/],
    [replace('/x/y', 1), /names what is not there/],
    [upsert('/a/b/c', 1), /leads into what is no object/],
    [upsert('/s/0', 1), /leads into what is no object/],
    [upsert('/a/b/c/d', 1), /names what is not there/],
    [upsert('/l/2', 1), /names what is not there/],
    [upsert('/l/01', 1), /names what is not there/],
    [upsert('/l/5/x', 1), /names what is not there/],
    [replace('/l/-', 1), /names what is not there/],
    [replace('/l/1', 1), /names what is not there/],
    [remove('/l/-1'), /names what is not there/],
    [upsert('/', {}), /names all of data/],
    [replace('', {}), /names all of data/],
    [upsert('/a/%zz', 1), /is no path/],
    [{ op: 'upsert', path: '/a' }, /has no value/],
    [{ op: 'add', path: '/a', value: 1 }, /must be \{"data"/],
    [{ op: 'upsert', path: ['a'], value: 1 }, /must be \{"data"/],
    [{ op: 'move', path: '/a', from: '/l' }, /must be \{"data"/],
  ];
  for (const [operation, message] of bad) assert.throws(() => change(data(), [operation]), message);
  assert.throws(() => change({}, []), /must be \{"data"/);
  for (const patch of ['', '[]', '{"data": {}}', '{"data": [], "data": []}', '{"other": []}'])
    assert.throws(() => applyDelta({}, { revision: undefined, patch }, ['']), /delta/, patch);
});

test('no path leads out of the roots, however it is written', () => {
  const roots = ['a/b', 'c'];
  assert.deepEqual(change({}, [upsert('/a/b/x', 1), upsert('/c', 1)], roots), { a: { b: { x: 1 } }, c: 1 });
  for (const path of ['/a', '/a/bc', '/d', '/a%2Fb/x', '/a~1b', '/a/x', 'a'])
    assert.throws(() => change({ a: {} }, [upsert(path, 1)], roots), /is outside of the roots/, path);
});
