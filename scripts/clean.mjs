// Empties folders of emitted files, so that what was renamed in src/ doesn't linger in a package.
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

for (const folder of process.argv.slice(2)) {
  rmSync(fileURLToPath(new URL(`../${folder}/`, import.meta.url)), { recursive: true, force: true });
}
