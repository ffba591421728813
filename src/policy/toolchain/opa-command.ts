/** Runs an `opa` command on a policy that is written to a directory of its own for the time of the call. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { failure } from './failure.ts';

export interface OpaOptions {
  /** Absolute path of the command. */
  readonly command: string;
  /** Milliseconds that one run may take. */
  readonly deadlineMs: number;
}

export interface OpaOutput {
  readonly succeeded: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Workshop {
  run(...args: readonly string[]): Promise<OpaOutput>;
  /** The name that a module was given under; any other name comes back as it is. */
  given(file: string): string;
  /** The path that a module has here; `policy` holds all of them and the data. */
  here(file: string): string;
  write(file: string, text: string): Promise<void>;
  read(file: string): Promise<Buffer>;
}

/** Far more than the report of any policy; a command gone mad must not fill the memory. */
const outputLimit = 256 * 1024 * 1024;

export async function withWorkshop<T>(
  options: OpaOptions,
  modules: Readonly<Record<string, string>>,
  data: Readonly<Record<string, unknown>>,
  work: (workshop: Workshop) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-opa-'));
  // Given names may hold anything, "../" too, so files get names of our own. Zeros keep their order.
  const names = new Map(
    Object.keys(modules)
      .sort()
      .map((file, index) => [
        file,
        `m${String(index).padStart(6, '0')}${file.endsWith('_test.rego') ? '_test' : ''}.rego`,
      ]),
  );
  const given = new Map([...names].map(([file, name]) => [name, file]));
  try {
    const write = async (file: string, text: string) => {
      await mkdir(dirname(join(directory, file)), { recursive: true });
      await writeFile(join(directory, file), text);
    };
    for (const [file, name] of names) await write(join('policy', name), modules[file] ?? '');
    await write(join('policy', 'data.json'), JSON.stringify(data));
    return await work({
      run: (...args) => runOpa(options, directory, args),
      given: (file) => given.get(basename(file)) ?? file,
      here: (file) => join('policy', names.get(file) ?? file),
      write,
      read: (file) => readFile(join(directory, file)),
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function runOpa(options: OpaOptions, cwd: string, args: readonly string[]): Promise<OpaOutput> {
  return new Promise((resolve, reject) => {
    execFile(
      options.command,
      args,
      // No environment: it holds secrets, and OPA takes flags from OPA_ names.
      { cwd, env: {}, timeout: options.deadlineMs, killSignal: 'SIGKILL', maxBuffer: outputLimit },
      (error, stdout, stderr) => {
        if (error === null || typeof error.code === 'number') resolve({ succeeded: error === null, stdout, stderr });
        else if (error.killed === true) reject(failure('toolchain_timeout', `${options.command} took too long`, error));
        else reject(failure('toolchain_failed', `${options.command} could not be run: ${error.message}`, error));
      },
    );
  });
}

const tarBlock = 512;

/** The content of one member of a `.tar.gz` that `opa build` has made; undefined if it is not there. */
export function memberOfBundle(bundle: Uint8Array, name: string): Uint8Array | undefined {
  const tar = gunzipSync(bundle, { maxOutputLength: outputLimit });
  for (let at = 0; at + tarBlock <= tar.length; ) {
    const text = (start: number, length: number) =>
      tar.toString('latin1', at + start, at + start + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12), 8) || 0;
    if (text(0, 100).replace(/^\//, '') === name)
      return Uint8Array.from(tar.subarray(at + tarBlock, at + tarBlock + size));
    at += tarBlock + Math.ceil(size / tarBlock) * tarBlock;
  }
  return undefined;
}
