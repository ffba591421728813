/**
 * Reads a file again while the sidecar runs. It is polled and compared by content: Kubernetes exchanges a directory behind
 * a symbolic link, which watches of files do not see on every file system.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface WatchedFile<T> {
  /** Of the last content that could be read. */
  current(): T;
  /** Looks now whether it has changed. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

export interface WatchFileOptions<T> {
  readonly path: string;
  /** @returns what the content says, or its faults */
  readonly read: (text: string) => T | readonly string[];
  /** Called once for each change; with faults the former content counts. */
  readonly onChanged: (faults: readonly string[]) => void;
  /** ms between two looks; 5 s by default. */
  readonly everyMs?: number;
}

/** What is still being written counts once it has stayed the same for so long. */
const settleMs = 50;

/** @throws FileFaults where it can't be read at first */
export function watchFile<T extends object>({ path, read, onChanged, everyMs }: WatchFileOptions<T>): WatchedFile<T> {
  let seen = readAtFirst(path);
  const first = read(seen);
  if (isFaults(first)) throw new FileFaults(path, first);
  let current: T = first;
  let looking: Promise<void> | undefined;
  const timer = setInterval(() => void look(), everyMs ?? 5000).unref();
  return { current: () => current, look, close: () => clearInterval(timer) };

  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookOnce(): Promise<void> {
    const text = await readFile(path, 'utf8').catch(describe);
    if (typeof text === 'string' && text === seen) return;
    await sleep(settleMs);
    const again = await readFile(path, 'utf8').catch(describe);
    const key = typeof again === 'string' ? again : again.fault;
    // Still being written, or told of already.
    if (key !== (typeof text === 'string' ? text : text.fault) || key === seen) return;
    seen = key;
    const result = typeof again === 'string' ? read(again) : [again.fault];
    if (isFaults(result)) return onChanged(result);
    current = result;
    onChanged([]);
  }
}

/** Every fault of a file that has to be there. */
export class FileFaults extends Error {
  override readonly name = 'FileFaults';
  readonly faults: readonly string[];

  constructor(path: string, faults: readonly string[]) {
    const named = faults.map((fault) => `${path}: ${fault}`);
    super(named.join('\n'));
    this.faults = named;
  }
}

function readAtFirst(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new FileFaults(path, [describe(error).fault]);
  }
}

function describe(error: unknown): { readonly fault: string } {
  return {
    fault: `cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : String(error)})`,
  };
}

function isFaults<T extends object>(value: T | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}
