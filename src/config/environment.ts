import { readFileSync } from 'node:fs';

/** What a process is started in. Everything else takes it as a value, so tests need not change the process. */
export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Throws what `fs.readFileSync` throws. */
  readonly readFile: (path: string) => Uint8Array;
}

/** Reads the process's own environment; the only place that does. */
export function environment(): Environment {
  return { env: process.env, cwd: process.cwd(), readFile: (path) => readFileSync(path) };
}
