/**
 * Notices that a policy on a disk changed: a directory, whatever lies below it, or a file.
 *
 * The system's own notices (inotify and the like) say it at once where they are to be had. They are not seen on every file
 * system, and not for what a link leads to, as when Kubernetes exchanges a ConfigMap's directory: so names, sizes and times
 * are compared as well, every few seconds.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLook } from '../look.ts';

export interface PathWatch {
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

export interface PathWatchOptions {
  readonly path: string;
  /** Told of each state that has settled and differs from the one before; awaited before the next look. Must not reject. */
  readonly onChange: () => Promise<void>;
  /** Told as soon as a state differs, before it is known to have settled. */
  readonly onUnsettled?: () => void;
  /** ms between two looks without a notice; 2 s by default. */
  readonly everyMs?: number;
}

/** Files are written one after the other: a state counts once it has stayed the same for so long. */
const settleMs = 150;
/** A directory that never rests is read all the same after so many tries. */
const mostTries = 20;

/** @param known the state that was read last, from `fingerprintPath` before it was read */
export function watchPath(known: string, { path, onChange, onUnsettled, everyMs = 2000 }: PathWatchOptions): PathWatch {
  let seen = known;
  let closed = false;
  const look = createLook(lookOnce);
  const timer = setInterval(() => void look(), everyMs).unref();
  const notices = listen(path, () => void look());

  return {
    look,
    close() {
      closed = true;
      clearInterval(timer);
      notices?.close();
    },
  };

  async function lookOnce(): Promise<void> {
    if (closed) return;
    let state = await fingerprintPath(path);
    if (state === seen) return;
    onUnsettled?.();
    for (let tries = 0; tries < mostTries; tries += 1) {
      await sleep(settleMs);
      const now = await fingerprintPath(path);
      if (now === state) break;
      state = now;
    }
    seen = state;
    if (!closed) await onChange();
  }
}

function listen(path: string, onNotice: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { recursive: true, persistent: false }, onNotice);
    // Such as too many watches: the looks every few seconds are left.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

/**
 * What tells one state of a path from another without reading it. Never rejects: that something can't be read is a state
 * too.
 */
export async function fingerprintPath(path: string): Promise<string> {
  const entries: string[] = [];
  const walk = async (at: string, name: string, above: readonly string[]): Promise<void> => {
    try {
      const info = await stat(at, { bigint: true });
      if (!info.isDirectory()) {
        entries.push(`${name}\0${info.dev}\0${info.ino}\0${info.size}\0${info.mtimeNs}\0${info.ctimeNs}`);
        return;
      }
      // As where it is read: what begins with a dot is no part of a policy, and links may lead round in circles.
      const here = `${info.dev} ${info.ino}`;
      if (above.includes(here)) return;
      const names = (await readdir(at)).filter((entry) => !entry.startsWith('.'));
      entries.push(`${name}/`);
      await Promise.all(names.map((entry) => walk(join(at, entry), posix.join(name, entry), [...above, here])));
    } catch (error) {
      entries.push(`${name}\0${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`);
    }
  };
  await walk(path, '', []);
  return entries.sort().join('\n');
}
