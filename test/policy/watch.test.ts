/** Changes of a policy's files are noticed on a real file system. */
import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test as define, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { fingerprintPath, watchPath } from '../../src/policy/watch.ts';
import { patient } from '../support/at-best.ts';
import { makeDirectory } from './directory.ts';

// Times are short here: what a held up process spoils is carried out anew.
const test = patient(define, 30);

/** How long a change is waited for, ms; the files rest for 150 ms first. */
const longestMs = 30_000;

async function startWatch(t: TestContext, path: string, everyMs?: number) {
  let changes = 0;
  const watch = watchPath(await fingerprintPath(path), {
    path,
    onChange: async () => {
      changes += 1;
    },
    ...(everyMs !== undefined && { everyMs }),
  });
  t.after(() => watch.close());
  return {
    ...watch,
    changes: () => changes,
    async waitForChange(count: number): Promise<void> {
      const deadline = Date.now() + longestMs;
      while (changes < count && Date.now() < deadline) await sleep(10);
      assert.equal(changes, count);
    },
  };
}

test('a file that is changed, added or removed anywhere in the directory is one change', async (t) => {
  const root = await makeDirectory(t, { 'a.rego': 'package a', 'deep/er/b.rego': 'package b' });
  const watch = await startWatch(t, root);
  await writeFile(join(root, 'deep/er/b.rego'), 'package c');
  await watch.waitForChange(1);
  await writeFile(join(root, 'c.rego'), 'package c');
  await watch.waitForChange(2);
  await rm(join(root, 'a.rego'));
  await watch.waitForChange(3);
  await sleep(300);
  assert.equal(watch.changes(), 3);
});

test('files that are written one after the other are one change, told when they rest', async (t) => {
  const root = await makeDirectory(t, { 'a.rego': 'package a' });
  const watch = await startWatch(t, root);
  for (let index = 0; index < 8; index += 1) {
    await writeFile(join(root, `${index}.rego`), 'package a');
    await sleep(40);
    assert.equal(watch.changes(), 0);
  }
  await watch.waitForChange(1);
});

test("the exchange of a ConfigMap's directory behind its links is seen", async (t) => {
  const root = await makeDirectory(t, { '..2026_1/a.rego': 'package a' });
  await symlink('..2026_1', join(root, '..data'));
  await symlink('..data/a.rego', join(root, 'a.rego'));
  const watch = await startWatch(t, root);
  // As the kubelet does it: a new directory, a link beside the old one, and a rename over it.
  await mkdir(join(root, '..2026_2'));
  await writeFile(join(root, '..2026_2/a.rego'), 'package b');
  await symlink('..2026_2', join(root, '..data_tmp'));
  await rename(join(root, '..data_tmp'), join(root, '..data'));
  await watch.waitForChange(1);
});

test('a file that is renamed over a watched one is seen, also where no notice comes', async (t) => {
  const root = await makeDirectory(t, { 'bundle.tar.gz': 'one', 'elsewhere/bundle.tar.gz': 'other' });
  const watch = await startWatch(t, join(root, 'bundle.tar.gz'), 100);
  await rename(join(root, 'elsewhere/bundle.tar.gz'), join(root, 'bundle.tar.gz'));
  await watch.waitForChange(1);
  await rm(join(root, 'bundle.tar.gz'));
  await watch.waitForChange(2);
});

test('a look that is asked for sees what was written before it, and nothing is told after the end', async (t) => {
  const root = await makeDirectory(t, { 'a.rego': 'package a' });
  const watch = await startWatch(t, root, 1e6);
  const looks = [watch.look()];
  await writeFile(join(root, 'a.rego'), 'package b');
  looks.push(watch.look());
  await Promise.all(looks);
  assert.equal(watch.changes(), 1);
  watch.close();
  await writeFile(join(root, 'a.rego'), 'package c');
  await watch.look();
  await sleep(300);
  assert.equal(watch.changes(), 1);
});

test('a path that is not there, or leads round in a circle, is a state like any other', async (t) => {
  const root = await makeDirectory(t, { 'a.rego': 'package a' });
  assert.match(await fingerprintPath(join(root, 'gone')), /ENOENT/);
  for (const name of ['round', 'and', 'about', 'again']) await symlink('.', join(root, name));
  assert.match(await fingerprintPath(root), /a\.rego/);
});
