/** A real Prometheus and its promtool: those on the PATH, else Debian's package. Ends with code 2 where neither can be had. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { fetchPackages, unpackedAt } from '../support/debian.ts';

/** @returns the command's file; it is there once this file was run */
export function findCommand(name: 'prometheus' | 'promtool'): string {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name));
  const found = [...onPath, join(unpackedAt('prometheus'), 'usr/bin', name)].find((file) => existsSync(file));
  if (found === undefined) throw new Error(`There is no ${name}: run npm run test:prometheus, which fetches it.`);
  return found;
}

function isThere(): boolean {
  try {
    return [findCommand('prometheus'), findCommand('promtool')].length === 2;
  } catch {
    return false;
  }
}

if (import.meta.main && !isThere()) {
  try {
    await fetchPackages('prometheus', ['prometheus']);
  } catch (error) {
    process.stderr.write(`prometheus: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
