/** Runs work now and after every change below some paths, until the process is told to stop. */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Editors write a file in several steps, and a checkout writes many. */
const quietMs = 100;

/**
 * Runs `work` once at a time; changes that come meanwhile run it once more.
 *
 * @returns when SIGINT or SIGTERM comes; rejects with what `work` throws
 */
export async function watchPaths(paths: readonly string[], work: () => Promise<void>): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let changed = false;

  const run = async (): Promise<void> => {
    if (running) {
      changed = true;
      return;
    }
    running = true;
    do {
      changed = false;
      await work();
    } while (changed);
    running = false;
  };
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void run().catch(stopped.reject), quietMs);
  };
  const stop = (): void => stopped.resolve();
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const watchers: FSWatcher[] = [];
  try {
    for (const path of paths) {
      // Editors put a new file in the place of the old one, and a watched file that is gone says nothing more.
      const directory = (await stat(path)).isDirectory();
      const watcher = watch(directory ? path : dirname(resolve(path)), { recursive: directory }, soon);
      watcher.on('error', stopped.reject);
      watchers.push(watcher);
    }
    void run().catch(stopped.reject);
    await stopped.promise;
  } finally {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
