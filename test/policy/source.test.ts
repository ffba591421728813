/** What is read of a directory: OPA's rules for bundles, every fault with its place. */
import assert from 'node:assert/strict';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPolicySource } from '../../src/policy/source.ts';
import { atBest } from '../support/at-best.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';

const rego = 'package a\n';

test('modules keep their names, base documents are mounted where they lie, everything else is told', async (t) => {
  const path = await makeDirectory(t, {
    'a.rego': rego,
    'deep/er/b.rego': 'package b\n',
    'deep/er/b_test.rego': 'package b_test\n',
    'data.json': '{"top": 1}',
    'roles/data.yaml': 'dev: [chat]\n',
    'roles/extra/data.yml': 'x: yes\ny: 2024-01-01\n',
    'schemas/input.json': '{}',
    'notes.yaml': 'a: [',
    'README.md': '# no policy',
    'policy.wasm': 'not even read',
  });
  const source = await readPolicySource(path);
  assert.equal(source.kind, 'directory');
  assert.deepEqual(Object.keys(source.modules).sort(), ['a.rego', 'deep/er/b.rego', 'deep/er/b_test.rego']);
  assert.deepEqual(source.data, { top: 1, roles: { dev: ['chat'], extra: { x: 'yes', y: '2024-01-01' } } });
  assert.deepEqual([...source.ignored].sort(), ['notes.yaml', 'schemas/input.json']);
  assert.equal(source.wasm, undefined);
  assert.equal(source.revision, undefined);
});

test('hidden files and directories are passed over, links to files are followed', async (t) => {
  // A mounted ConfigMap: the files are links into a hidden directory that is swapped.
  const path = await makeDirectory(t, {
    '..2026_01/a.rego': rego,
    '..2026_01/data.json': '{"x": 1}',
    '.git/b.rego': 'syntax error',
    '.hidden.rego': 'syntax error',
  });
  await symlink('..2026_01', join(path, '..data'));
  await symlink('..data/a.rego', join(path, 'a.rego'));
  await symlink('..data/data.json', join(path, 'data.json'));
  const { modules, data } = await readPolicySource(path);
  assert.deepEqual(modules, { 'a.rego': rego });
  assert.deepEqual(data, { x: 1 });
});

test('data of several files is merged, object by object', async (t) => {
  const path = await makeDirectory(t, {
    'a.rego': rego,
    'data.json': '{"roles": {"dev": {"models": ["a"]}}, "constructor": 1, "__proto__": {"polluted": true}}',
    'roles/data.json': '{"ops": 1}',
    'roles/dev/data.yaml': 'operations: [chat]\n',
  });
  const { data } = await readPolicySource(path);
  assert.equal(
    JSON.stringify(data),
    '{"roles":{"dev":{"models":["a"],"operations":["chat"]},"ops":1},"constructor":1,"__proto__":{"polluted":true}}',
  );
  assert.equal(Reflect.get({}, 'polluted'), undefined);
});

for (const [title, files, at] of [
  ['two documents of one directory', { 'data.json': '{"a": {"b": 1}}', 'data.yaml': 'a: {b: 1}' }, 'data.a.b'],
  ['a document and one below it', { 'data.json': '{"a": 1}', 'a/data.json': '{"b": 1}' }, 'data.a'],
  ['a list and an object', { 'data.json': '{"a": [1]}', 'a/data.json': '{"0": 1}' }, 'data.a'],
  ['a null and an object', { 'data.json': '{"a": null}', 'a/data.json': '{"b": 1}' }, 'data.a'],
] as const) {
  test(`${title} that define the same are a conflict`, async (t) => {
    const error = await policyErrorOf(readPolicySource(await makeDirectory(t, { 'a.rego': rego, ...files })));
    assert.equal(error.faults[0]?.code, 'data_conflict');
    assert.match(error.message, new RegExp(`${at.replaceAll('.', '\\.')} is defined by another file`));
  });
}

const faulty: ReadonlyArray<readonly [name: string, text: string, row: number, column: number | undefined]> = [
  ['data.json', '{\n  "a": 1,\n}', 3, 1],
  ['data.json', '{\n  "a": 1\n  "b": 2\n}', 3, 3],
  ['data.json', '{"a": 1} // why\n', 1, 10],
  ['data.json', '{"a": NaN}', 1, 7],
  ['data.json', "{'a': 1}", 1, 2],
  ['data.json', '{"a": "line\nbreak"}', 1, 12],
  ['data.json', '{"a": 1}\n{"b": 2}', 2, 1],
  ['data.json', '{\n"a": 1,\n"b": {"c": 1,\n "c": 2}\n}', 4, 2],
  ['data.json', '[1, 2]', 1, 1],
  ['data.json', 'null', 1, 1],
  ['data.yaml', 'a: 1\nb: [1, 2\nc: 3\n', 3, undefined],
  ['data.yaml', 'a: 1\nb:\n\t- x\n', 3, undefined],
  ['data.yaml', 'a: 1\nb:\n  x: 1\n  x: 2\n', 4, 3],
  ['data.yaml', 'a: 1\n1: x\n"1": y\n', 3, 1],
  ['data.yaml', '- a\n', 1, 1],
  ['data.yaml', '', 1, 1],
  ['data.yaml', 'a: 1\n---\nb: 2\n', 2, undefined],
];

for (const [name, text, row, column] of faulty) {
  test(`the fault in ${name} ${JSON.stringify(text)} is named with its place`, async (t) => {
    const path = await makeDirectory(t, { 'a.rego': rego, [`x/${name}`]: text });
    const { faults, message } = await policyErrorOf(readPolicySource(path));
    const [first] = faults;
    assert.deepEqual([first?.code, first?.file, first?.row], ['invalid_data', `x/${name}`, row], message);
    if (column !== undefined) assert.equal(first?.column, column, message);
    assert.match(message, new RegExp(`^x/${name}:${row}:\\d+: invalid_data: .`, 'm'));
  });
}

test('the faults of all files are told at once', async (t) => {
  const path = await makeDirectory(t, {
    'a.rego': rego,
    'data.json': '{',
    'b/data.yaml': 'a: [',
    'c/data.json': '{"c": 1}',
  });
  const { faults } = await policyErrorOf(readPolicySource(path));
  assert.deepEqual(faults.map(({ file }) => file).sort(), ['b/data.yaml', 'data.json']);
});

test('data that is not UTF-8 is refused', async (t) => {
  const path = await makeDirectory(t, { 'a.rego': rego, 'data.json': Buffer.from('{"a": "\xff"}', 'latin1') });
  assert.match((await policyErrorOf(readPolicySource(path))).message, /data\.json: invalid_data: .*UTF-8/);
});

test('aliases that unfold without end are refused', async (t) => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  const path = await makeDirectory(t, { 'a.rego': rego, 'data.yaml': `l0: &l0 [x]\n${levels.join('\n')}\n` });
  assert.match((await policyErrorOf(readPolicySource(path))).message, /data\.yaml.*alias/i);
});

test('five megabytes of data are read in a time that grows with them', async (t) => {
  const users = Object.fromEntries(
    Array.from({ length: 45_000 }, (_, i) => [`user-${i}`, { roles: ['developer'], models: [`model-${i}`, 'a:b'] }]),
  );
  const path = await makeDirectory(t, { 'a.rego': rego, 'data.json': JSON.stringify({ users }, undefined, 2) });
  const tookMs = await atBest(3000, async () => {
    const started = performance.now();
    assert.deepEqual((await readPolicySource(path)).data, { users });
    return performance.now() - started;
  });
  // Some 0.2 s; it was 15 s with a check of each key against each.
  assert.ok(tookMs < 3000, `${tookMs} ms`);
});

test('numbers and strings of JSON are read as JSON has them', async (t) => {
  const text = '{"a": [1e3, -0.5, "\\ud83d\\ude00\\/", "01", "~", "yes"], "<<": {"x": 1}, "": null}';
  const path = await makeDirectory(t, { 'a.rego': rego, 'data.json': text });
  assert.deepEqual((await readPolicySource(path)).data, JSON.parse(text));
});

test('integers of data keep every digit, in JSON and in YAML', async (t) => {
  const texts = { 'data.json': '{"ids": [9007199254740993, 1, -0.5], "digits": "9007199254740993"}' };
  const json = await makeDirectory(t, { 'a.rego': rego, ...texts });
  const yaml = await makeDirectory(t, { 'a.rego': rego, 'data.yaml': texts['data.json'] });
  for (const path of [json, yaml]) {
    const { data } = await readPolicySource(path);
    assert.equal(JSON.stringify(data), '{"ids":[9007199254740993,1,-0.5],"digits":"9007199254740993"}');
  }
});

test('numbers that JSON does not have are refused: a policy would be handed null', async (t) => {
  for (const [file, text] of [
    ['data.json', '{"a": 1e400}'],
    ['data.yaml', 'a: 1e400'],
    ['data.yaml', 'a: .inf'],
    ['data.yaml', 'a: .nan'],
  ] as const) {
    const { faults } = await policyErrorOf(readPolicySource(await makeDirectory(t, { 'a.rego': rego, [file]: text })));
    assert.deepEqual([faults[0]?.code, faults[0]?.file], ['invalid_data', file], text);
  }
});

test('a directory without Rego, a path that is nothing and a URL are refused with advice', async (t) => {
  const empty = await makeDirectory(t, { 'data.json': '{}' });
  assert.match((await policyErrorOf(readPolicySource(empty))).message, /holds no \.rego file/);
  assert.match((await policyErrorOf(readPolicySource(join(empty, 'nowhere')))).message, /Check policy\.path/);
  assert.match(
    (await policyErrorOf(readPolicySource('https://x.test/b.tar.gz'))).message,
    /A URL is read from the configuration only/,
  );
});

test('a link to nowhere and a link to a directory above are refused in plain words', async (t) => {
  const dangling = await makeDirectory(t, { 'a.rego': rego });
  await symlink('nowhere.rego', join(dangling, 'b.rego'));
  assert.match((await policyErrorOf(readPolicySource(dangling))).message, /b\.rego .*link to nowhere/);
  const circle = await makeDirectory(t, { 'x/a.rego': rego });
  await symlink('..', join(circle, 'x', 'up'));
  await symlink('.', join(circle, 'x', 'self'));
  assert.match(
    (await policyErrorOf(readPolicySource(circle))).message,
    /x\/(up|self) .*link to a directory that holds it/,
  );
});
