/** The real command, `bin/opallama.js`, as a process of its own that ends. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));
const limitMs = 100_000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Where it runs; the project's root by default. */
  readonly cwd?: string;
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Nothing of the test's own environment but what a program needs to be found. */
export async function opallama(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: options.cwd ?? root,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      // A third less work for each of some hundred starts: types are stripped and code is compiled once.
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/commands'),
      NO_COLOR: '1',
      ...options.env,
    },
    timeout: limitMs,
  });
  child.stdin.end(options.stdin ?? '');
  const ended = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject));
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}
