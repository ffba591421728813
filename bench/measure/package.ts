/** The sidecar as users install it: emitted JavaScript. From its sources it starts slower and holds Node's type stripper. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../', import.meta.url));
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

/** @returns the command of the package, in JavaScript */
export async function emitPackage(directory: string): Promise<string> {
  const home = join(directory, 'package');
  await mkdir(home, { recursive: true });
  const out = join(home, 'dist');
  const args = [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', out];
  // A fault in a type keeps nothing from being emitted, and is for the linter to tell.
  const emitted = await promisify(execFile)(process.execPath, args).catch((error: unknown) => error);
  if (!existsSync(join(out, 'main.js'))) throw new Error('The sources could not be compiled.', { cause: emitted });
  for (const name of ['bin', 'package.json']) await cp(join(root, name), join(home, name), { recursive: true });
  for (const name of ['node_modules', 'opa', 'policies', 'docs'])
    await symlink(join(root, name), join(home, name), 'junction');
  return join(home, 'bin', 'opallama.js');
}
