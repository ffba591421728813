/**
 * A cache that tests build real programs into: outside the clone, so that a fresh clone finds it warm. Each part is made in
 * a directory of its own beside its final place and renamed when it is whole, so a build that was cut short is never taken
 * for a finished one, and two builds at once do no harm.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface BuildCache {
  root(): string;
  /**
   * Makes a part of the cache unless it is there.
   * @param what for the progress lines
   * @param make fills the directory that it is given; everything in it must survive a rename of that directory
   * @returns the directory of the finished part
   */
  buildOnce(name: string, what: string, make: (dir: string) => Promise<void>): Promise<string>;
  /**
   * Runs a command to its end at low priority, with a line of progress every 30 s. Its output goes to `build.log` in the
   * cache.
   * @throws Error with the end of the output if the command fails.
   */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<string>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A name that changes when the bytes of any of the files do. */
export async function nameByContent(prefix: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file)).update('\0');
  return `${prefix}-${hash.digest('hex').slice(0, 12)}`;
}

/**
 * @param part of `OPALLAMA_CACHE`, else of the user's cache directory
 * @param label before each line of progress
 */
export function createBuildCache(part: string, label: string): BuildCache {
  return { root, buildOnce, run };

  function root(): string {
    const base =
      process.env['OPALLAMA_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'opallama');
    return join(base, part);
  }

  async function buildOnce(name: string, what: string, make: (dir: string) => Promise<void>): Promise<string> {
    const final = join(root(), name);
    if (existsSync(final)) return final;
    const began = performance.now();
    process.stderr.write(`${label}: making ${what}\n`);
    await mkdir(root(), { recursive: true });
    await removeLeftovers(root(), name);
    const unfinished = join(root(), `${name}.${process.pid}.unfinished`);
    await mkdir(unfinished);
    try {
      await make(unfinished);
      await rename(unfinished, final).catch((error: unknown) => {
        // Another build was faster; its part is as good as this one.
        if (!existsSync(final)) throw error;
      });
    } finally {
      await rm(unfinished, { recursive: true, maxRetries: 10, force: true });
    }
    process.stderr.write(`${label}: ${what} made in ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
    return final;
  }

  async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const child = spawn('nice', ['-n', '10', command, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const gather = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', gather);
    child.stderr.on('data', gather);
    const began = performance.now();
    const progress = setInterval(() => {
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      process.stderr.write(`${label}:   ${command} ${args[0] ?? ''}: ${seconds} s\n`);
    }, 30_000);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
      });
      await appendFile(join(root(), 'build.log'), `$ ${command} ${args.join(' ')}\n${output}\n`);
      if (code === 0) return output;
      const tail = output.trimEnd().split('\n').slice(-30).join('\n');
      throw new Error(`"${command} ${args.join(' ')}" ended with code ${code}:\n${tail}`);
    } finally {
      clearInterval(progress);
    }
  }
}

/** Removes what builds that were killed have left, as far as nothing that they started writes there still. */
async function removeLeftovers(root: string, name: string): Promise<void> {
  for (const entry of await readdir(root)) {
    const pid = entry.startsWith(`${name}.`) && /\.(\d+)\.unfinished$/.exec(entry)?.[1];
    if (pid && !existsSync(`/proc/${pid}`))
      await rm(join(root, entry), { recursive: true, maxRetries: 10, force: true }).catch(() => undefined);
  }
}
