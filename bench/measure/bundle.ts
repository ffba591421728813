/** Builds the default policy as a user would, for the start from a compiled bundle. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const command = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

/** @returns the path of the bundle */
export async function buildBundle(directory: string, policyPath: string): Promise<string> {
  const file = join(directory, 'bundle.tar.gz');
  await promisify(execFile)(process.execPath, [command, 'build', policyPath, '-o', file, '--no-test']);
  return file;
}
