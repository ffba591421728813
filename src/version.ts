import { readFileSync } from 'node:fs';

/** The same place seen from `src/` and from `dist/`. */
const packageFile = new URL('../package.json', import.meta.url);

/** Of this package. */
export function readVersion(): string {
  const read: unknown = JSON.parse(readFileSync(packageFile, 'utf8'));
  return typeof read === 'object' && read !== null && 'version' in read ? String(read.version) : 'unknown';
}
