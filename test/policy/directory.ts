import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PolicyError } from '../../src/errors.ts';

interface Cleaner {
  after(end: () => Promise<void>): void;
}

/** A directory of its own with these files, gone when the test ends. */
export async function makeDirectory(t: Cleaner, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-policy-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10, force: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  return directory;
}

/** The PolicyError that it must reject with. */
export async function policyErrorOf(work: Promise<unknown>): Promise<PolicyError> {
  let result: unknown;
  try {
    result = await work;
  } catch (error) {
    // A tool chain that ends by itself is no answer, and says why in its message.
    const isAnswer = error instanceof PolicyError && !error.faults.some(({ code }) => code === 'toolchain_died');
    if (isAnswer) return error;
    throw error;
  }
  throw new Error(`it was accepted: ${JSON.stringify(result)?.slice(0, 500)}`);
}
