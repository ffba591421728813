/** Programs of Debian's packages, fetched once by apt-get and unpacked into the cache of the tests without being installed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { cacheRoot } from './ollama/cache.ts';

const execute = promisify(execFile);

/** Where `fetchPackages` unpacks what it is asked for under this name; it may not be there. */
export function unpackedAt(name: string): string {
  return join(dirname(cacheRoot()), name);
}

/**
 * @param name of the directory in the cache
 * @returns the directory that the packages' files are in
 * @throws Error where there is no apt-get, or it has no such package
 */
export async function fetchPackages(name: string, packages: readonly string[]): Promise<string> {
  const unpacked = unpackedAt(name);
  if (existsSync(unpacked)) return unpacked;
  const cache = dirname(unpacked);
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, `${name}-unfinished-`));
  try {
    await execute('apt-get', ['update', '-qq']);
    await execute('apt-get', ['download', '-qq', ...packages], { cwd: work });
    for (const deb of (await readdir(work)).filter((file) => file.endsWith('.deb')))
      await execute('dpkg-deb', ['-x', deb, 'root'], { cwd: work });
    await rename(join(work, 'root'), unpacked);
  } finally {
    await rm(work, { recursive: true, maxRetries: 10, force: true });
  }
  return unpacked;
}
