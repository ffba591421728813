/** Bundles that were cut, tampered with, or never were any. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readPolicySource } from '../../src/policy/source.ts';
import { makeBundle, makeTar, type TarEntry } from './archive.ts';
import { makeDirectory, policyErrorOf } from './directory.ts';

const whole: readonly TarEntry[] = [
  { path: '/.manifest', content: '{"revision": "2026-06-11", "roots": [""]}' },
  { path: '/data.json', content: '{"top": 1}' },
  { path: './roles/', type: '5' },
  { path: './roles/data.json', content: '{"dev": ["chat"]}' },
  { path: '/a/a.rego', content: 'package a\n' },
  { path: '/policy.wasm', content: Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0) },
];

async function read(t: Parameters<typeof makeDirectory>[0], bytes: Uint8Array) {
  const directory = await makeDirectory(t, { 'bundle.tar.gz': bytes });
  return readPolicySource(join(directory, 'bundle.tar.gz'));
}

test('a bundle is read with its revision, its names without a leading slash', async (t) => {
  const source = await read(t, makeBundle(whole));
  assert.equal(source.kind, 'bundle');
  assert.equal(source.revision, '2026-06-11');
  assert.deepEqual(source.modules, { 'a/a.rego': 'package a\n' });
  assert.deepEqual(source.data, { top: 1, roles: { dev: ['chat'] } });
  assert.deepEqual(source.wasm && [...source.wasm], [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
});

test('only the policy.wasm at the root is the compiled policy', async (t) => {
  const { wasm } = await read(
    t,
    makeBundle([
      { path: 'deep/policy.wasm', content: 'x' },
      { path: 'a.rego', content: 'package a' },
    ]),
  );
  assert.equal(wasm, undefined);
});

test('a bundle that was cut short is refused at whatever length', async (t) => {
  const bytes = makeBundle(whole);
  const directory = await makeDirectory(t, {});
  assert.ok(directory !== '');
  for (let length = 0; length < bytes.length; length += 1 + Math.floor(bytes.length / 40)) {
    const { message } = await policyErrorOf(read(t, bytes.subarray(0, length)));
    assert.match(message, /not a whole \.tar\.gz file\. Was it cut short\?/, `${length} of ${bytes.length} bytes`);
  }
  await policyErrorOf(read(t, bytes.subarray(0, -1)));
});

test('a tar that was cut before it was packed is refused', async (t) => {
  const tar = makeTar(whole);
  // Between two entries as well: the tar reader sees nothing wrong with that.
  for (const length of [100, 512, 700, 1024, 1024 + 7, 2048, 512 * 5 + 200, tar.length - 512, tar.length - 1]) {
    await policyErrorOf(read(t, gzipSync(tar.subarray(0, length))));
  }
});

test('a flipped bit is found, in the packed bytes and in a head of the tar', async (t) => {
  const packed = makeBundle(whole);
  packed[Math.floor(packed.length / 2)] = (packed[Math.floor(packed.length / 2)] ?? 0) ^ 1;
  await policyErrorOf(read(t, packed));
  const tar = makeTar(whole);
  tar[1024] = (tar[1024] ?? 0) ^ 1;
  assert.match((await policyErrorOf(read(t, gzipSync(tar)))).message, /damaged/);
});

const hostile: ReadonlyArray<readonly [title: string, entries: readonly TarEntry[], message: RegExp]> = [
  ['leaves its root', [{ path: '../evil.rego', content: 'package a' }], /leaves its root/],
  ['leaves its root by a detour', [{ path: 'a/../../evil.rego', content: 'package a' }], /leaves its root/],
  ['leaves its root from the top', [{ path: '/../evil.rego', content: 'package a' }], /leaves its root/],
  ['holds a symbolic link', [{ path: 'a.rego', type: '2', linkTo: '/etc/passwd' }], /not a plain file/],
  ['holds a hard link', [{ path: 'a.rego', type: '1', linkTo: '/etc/passwd' }], /not a plain file/],
  ['holds a device', [{ path: 'a.rego', type: '3' }], /not a plain file/],
  [
    'holds a file twice',
    [
      { path: 'a.rego', content: 'package a' },
      { path: './a.rego', content: 'package b' },
    ],
    /twice/,
  ],
  ['has a broken manifest', [{ path: '.manifest', content: '{"revision"' }], /manifest .* is not JSON/],
  ['has data that is no JSON', [{ path: 'x/data.json', content: '{' }], /x\/data\.json:1/],
];
for (const [title, entries, message] of hostile) {
  test(`a bundle that ${title} is refused`, async (t) => {
    assert.match(
      (await policyErrorOf(read(t, makeBundle([...whole, ...entries].filter(unlessReplaced(entries)))))).message,
      message,
    );
  });
}

function unlessReplaced(entries: readonly TarEntry[]) {
  return (entry: TarEntry) =>
    entries.includes(entry) || entry.path !== '/.manifest' || entries[0]?.path !== '.manifest';
}

test('what is not packed, not a tar, or packed twice is refused', async (t) => {
  await policyErrorOf(read(t, Buffer.from('package a\n')));
  await policyErrorOf(read(t, makeTar(whole)));
  assert.match(
    (
      await policyErrorOf(
        read(t, gzipSync(Buffer.concat([Buffer.from('package a\n'.repeat(256)), Buffer.alloc(1024)]))),
      )
    ).message,
    /damaged/,
  );
  assert.match((await policyErrorOf(read(t, gzipSync(makeBundle(whole))))).message, /packed twice/);
  assert.match((await policyErrorOf(read(t, gzipSync(zstdCompressSync(makeTar(whole)))))).message, /packed twice/);
});

test('a bundle that unpacks to more than anyone meant is refused before it fills the memory', async (t) => {
  // Members of a gzip file follow each other (RFC 1952, 2.2): half a megabyte that unpacks to more than 512.
  const member = gzipSync(Buffer.alloc(32 * 1024 * 1024));
  const bomb = Buffer.concat(Array.from({ length: 17 }, () => member));
  assert.ok(bomb.length < 1024 * 1024);
  assert.match((await policyErrorOf(read(t, bomb))).message, /unpacks to more than/);
});

test('a bundle without a revision gets one that changes with any of its bytes', async (t) => {
  const { revision } = await read(t, makeBundle([{ path: 'a.rego', content: 'package a' }]));
  assert.equal(revision, undefined);
  const { revision: empty } = await read(t, makeBundle([{ path: '.manifest', content: '{"revision": ""}' }]));
  assert.equal(empty, undefined);
});

test('a single file of Rego or data is told to be no bundle, whatever is in it', async (t) => {
  for (const name of ['authz.rego', 'data.json', 'data.YAML', 'data.yml']) {
    const path = join(await makeDirectory(t, { [name]: makeBundle(whole) }), name);
    const message = `${path} is a single file. Name the directory it is in, or a bundle (.tar.gz).`;
    await assert.rejects(readPolicySource(path), { name: 'PolicyError', message });
  }
});
