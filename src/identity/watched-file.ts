/**
 * A file that is read again whenever it changes while the sidecar runs. What can't be used changes nothing: the former
 * content stays, and that is said. It is polled: Kubernetes exchanges a directory behind a symbolic link, which watches of
 * files do not see on every file system.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { ConfigError } from '../errors.ts';
import { createLook } from '../look.ts';

/** What a file is for; a label of metrics. */
export type FileSource = 'jwt_keys' | 'api_keys' | 'revocations' | 'clients' | 'token_key' | 'kubernetes_keys';

export interface FileReload {
  readonly source: FileSource;
  readonly path: string;
  /** Why the content is not used; undefined where it is. */
  readonly fault: string | undefined;
}

export interface WatchedFileOptions<T> {
  readonly source: FileSource;
  readonly path: string;
  /** @returns a text where the content can't be used; it ends the sentence "FILE ..." and quotes no secret */
  readonly parse: (bytes: Buffer) => { readonly value: T } | string;
  /** Called with each new content, before anybody is told; not with the first one. */
  readonly apply: (value: T) => void;
  readonly onReload: (reload: FileReload) => void;
  /** ms between two looks; 1 s by default. */
  readonly everyMs?: number | undefined;
}

export interface FileState {
  readonly source: FileSource;
  readonly path: string;
  readonly loadedMs: number;
  /** The last change, where it can't be used. */
  readonly refused: { readonly atMs: number; readonly fault: string } | undefined;
}

export interface WatchedFile<T> {
  /** Of the last content that could be used. */
  readonly value: T;
  state(): FileState;
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

/** Files are not always exchanged whole: a state counts once it has stayed the same for so long. */
const settleMs = 100;
/** One that never rests is read all the same after so many looks. */
const mostTries = 20;

/** @throws ConfigError where it can't be used at the start */
export function watchFile<T>(options: WatchedFileOptions<T>): WatchedFile<T> {
  const { source, path } = options;
  const first = readContent();
  const start = typeof first === 'string' ? first : options.parse(first);
  if (typeof first === 'string' || typeof start === 'string') throw new ConfigError([`${path} ${start}`]);
  let { value } = start;
  let loadedMs = Date.now();
  let refused: FileState['refused'];
  /** Hashes of the content that is used and of the one that was looked at last. */
  let used = hash(first);
  let judged = used;
  let seen: string | undefined;
  const look = createLook(lookOnce);
  const timer = setInterval(() => void look(), options.everyMs ?? 1000).unref();

  return {
    get value() {
      return value;
    },
    state: () => ({ source, path, loadedMs, refused }),
    look,
    close: () => clearInterval(timer),
  };

  async function lookOnce(): Promise<void> {
    let state = await fingerprint(path);
    if (state === seen) return;
    for (let tries = 0; tries < mostTries; tries += 1) {
      await sleep(settleMs);
      const now = await fingerprint(path);
      if (now === state) break;
      state = now;
    }
    seen = state;
    judge(readContent());
  }

  function judge(content: Buffer | string): void {
    const now = hash(content);
    if (now === judged) return;
    judged = now;
    if (now === used) {
      refused = undefined;
      return;
    }
    const parsed = typeof content === 'string' ? content : options.parse(content);
    if (typeof parsed === 'string') {
      refused = { atMs: Date.now(), fault: parsed };
    } else {
      ({ value } = parsed);
      used = now;
      loadedMs = Date.now();
      refused = undefined;
      options.apply(value);
    }
    options.onReload({ source, path, fault: refused?.fault });
  }

  /** @returns a text where it can't be read */
  function readContent(): Buffer | string {
    try {
      return readFileSync(path);
    } catch (error) {
      return `can not be read${error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''}`;
    }
  }
}

function hash(content: Buffer | string): string {
  return createHash('sha256')
    .update(typeof content)
    .update(content)
    .digest('base64');
}

/** What tells one state of a file from another without reading it; that it can't be looked at is a state too. */
async function fingerprint(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return String(error);
  }
}
