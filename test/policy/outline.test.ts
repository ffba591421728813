/** What of the data OPA's compiler is shown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outlineData } from '../../src/policy/outline.ts';

const large = new Map([['data.json', new Uint8Array(1_000_001)]]);
const modules = { 'a.rego': 'package users.authz\n\nallow if data.users["ann-1"].ok\n\nx := `raw name`' };

test('data of a megabyte or less is shown as it is', () => {
  const data = { users: { bob: [1] } };
  assert.equal(outlineData({ data, modules, files: new Map([['data.json', new Uint8Array(10)]]) }), data);
});

test('of more data only what has a name that a module writes, and no value', () => {
  const data = {
    users: { 'ann-1': { ok: 5, secret: 'x' }, bob: { ok: true }, authz: { allow: [1, 2] } },
    'raw name': null,
    others: { users: 1 },
  };
  assert.deepEqual(outlineData({ data, modules, files: large }), {
    users: { 'ann-1': { ok: true }, authz: { allow: true } },
    'raw name': true,
  });
});

test('an object in which nothing has such a name is still not empty, and an empty one is', () => {
  const data = { users: { bob: 1 }, authz: {} };
  assert.deepEqual(outlineData({ data, modules, files: large }), { users: { '': true }, authz: {} });
});

test('nothing is left out where a name may be written with escapes', () => {
  const data = { users: { bob: 1 } };
  const escaped = { 'a.rego': 'package a["\\u0062ob"]' };
  assert.equal(outlineData({ data, modules: escaped, files: large }), data);
});

test('a name that every object has is a name like any other', () => {
  const data = JSON.parse('{"users":{"__proto__":{"allow":1}}}');
  const named = { 'a.rego': 'package users["__proto__"]\n\nallow := 1' };
  assert.equal(
    JSON.stringify(outlineData({ data, modules: named, files: large })),
    '{"users":{"__proto__":{"allow":true}}}',
  );
});
