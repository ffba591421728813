/**
 * A real Prometheus and its promtool: those on the PATH, else Debian's package, fetched once by apt-get and unpacked into the
 * cache of the tests without being installed. Ends with code 2 where neither can be had.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { cacheRoot } from '../support/ollama/cache.ts';

const execute = promisify(execFile);

/** @returns the command's file; it is there once `prepare` was called */
export function findCommand(name: 'prometheus' | 'promtool'): string {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name));
  const found = [...onPath, join(unpacked(), 'usr/bin', name)].find((file) => existsSync(file));
  if (found === undefined) throw new Error(`There is no ${name}: run npm run test:prometheus, which fetches it.`);
  return found;
}

function unpacked(): string {
  return join(dirname(cacheRoot()), 'prometheus');
}

async function prepare(): Promise<void> {
  try {
    findCommand('prometheus');
    findCommand('promtool');
    return;
  } catch {
    // It is fetched.
  }
  const cache = dirname(unpacked());
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'prometheus-unfinished-'));
  try {
    await execute('apt-get', ['update', '-qq']);
    await execute('apt-get', ['download', '-qq', 'prometheus'], { cwd: work });
    const deb = (await readdir(work)).find((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get gave no package');
    await execute('dpkg-deb', ['-x', deb, 'root'], { cwd: work });
    await rename(join(work, 'root'), unpacked());
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    await prepare();
  } catch (error) {
    process.stderr.write(`prometheus: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
