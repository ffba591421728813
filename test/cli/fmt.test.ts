/** `opallama fmt`, run as people and CI run it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama } from './command.ts';

const skip = noModule;
const rough = 'package a\nallow if   input.x==1\n\n\n\ndeny if input.y\n';
const formatted = 'package a\n\nallow if input.x == 1\n\ndeny if input.y\n';
const files = { 'a/rough.rego': rough, 'a/good.rego': formatted, 'a/data.json': 'not json' };

test('the files that would change are named, and nothing is written', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  const { code, stdout } = await opallama(['fmt', directory]);
  assert.equal(stdout, `${join(directory, 'a/rough.rego')}\n`);
  assert.equal(code, 0);
  assert.equal(await readFile(join(directory, 'a/rough.rego'), 'utf8'), rough);
});

test('--check ends with 1 where a file would change, and with 0 where none would', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  assert.equal((await opallama(['fmt', directory, '--check'])).code, 1);
  assert.equal((await opallama(['fmt', join(directory, 'a/good.rego'), '--check'])).code, 0);
});

test('--write writes them, once', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  assert.equal((await opallama(['fmt', directory, '--write'])).code, 0);
  assert.equal(await readFile(join(directory, 'a/rough.rego'), 'utf8'), formatted);
  assert.equal((await opallama(['fmt', directory, '--check'])).stdout, '');
});

test('--diff is a patch that makes the file formatted', { skip }, async (t) => {
  const many = Array.from({ length: 40 }, (_, at) => `rule${at} if input.x == ${at}\n`).join('\n');
  const directory = await makeDirectory(t, {
    'rough.rego': `package a\n\n${many.replace('== 3\n', '==3\n').replace('rule30 if', 'rule30   if')}\nlast if   input.y`,
  });
  const { stdout } = await opallama(['fmt', '.', '--diff'], { cwd: directory });
  assert.equal(stdout.match(/^@@/gm)?.length, 3);
  await writeFile(join(directory, 'change.patch'), stdout);
  await promisify(execFile)('patch', ['-p0', '-i', 'change.patch'], { cwd: directory });
  assert.equal(await readFile(join(directory, 'rough.rego'), 'utf8'), `package a\n\n${many}\nlast if input.y\n`);
});

test('"-" formats what comes on standard input', { skip }, async () => {
  assert.deepEqual(await opallama(['fmt', '-'], { stdin: rough }), { code: 0, stdout: formatted, stderr: '' });
  assert.equal((await opallama(['fmt', '-', '--write'], { stdin: rough })).code, 2);
  assert.equal((await opallama(['fmt', '-', '--check'], { stdin: rough })).code, 1);
});

test('a file that does not parse is reported with its place, and the others are formatted', { skip }, async (t) => {
  const directory = await makeDirectory(t, { ...files, 'b.rego': 'package b\n\nallow if {\n' });
  const { code, stderr } = await opallama(['fmt', directory, '--write']);
  assert.equal(code, 1);
  assert.match(stderr, /b\.rego:4: rego_parse_error: unexpected eof/);
  assert.equal(await readFile(join(directory, 'a/rough.rego'), 'utf8'), formatted);
});

test('--format json says what changed', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  const { stdout } = await opallama(['fmt', directory, '--format', 'json', '--diff']);
  const file = join(directory, 'a/rough.rego');
  assert.partialDeepStrictEqual(JSON.parse(stdout), { changed: [file], written: false, faults: [] });
  assert.match(JSON.parse(stdout).diffs[file], /^\+allow if input\.x == 1$/m);
});

test('what is no Rego is a wrong call', async (t) => {
  const directory = await makeDirectory(t, { 'a.txt': 'x', 'empty/b.txt': 'x' });
  assert.equal((await opallama(['fmt', join(directory, 'a.txt')])).code, 2);
  assert.equal((await opallama(['fmt', join(directory, 'empty')])).code, 2);
});
