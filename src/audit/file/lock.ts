/**
 * A lock that the kernel takes back when its holder dies, however it dies. Node has no such lock of its own; SQLite, which
 * is part of it, has: fcntl's, on Linux, which hold between containers that share a directory too.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

export interface FileLock {
  release(): void;
}

/** SQLite's SQLITE_BUSY. */
const busy = 5;

/**
 * @param path of what is locked; the lock is a file beside it, which stays there
 * @param waitMs for another holder to end
 * @returns undefined where somebody else holds it
 * @throws where the file can't be made
 */
export function takeLock(path: string, waitMs = 0): FileLock | undefined {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Loaded by who locks a file: megabytes that a sidecar without one does not pay for.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const database = new DatabaseSync(`${path}.lock`, { timeout: waitMs });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}

/** Whether somebody writes to the file at this moment. */
export function isHeld(path: string): boolean {
  try {
    // Nothing is made where nobody ever wrote.
    if (!existsSync(`${path}.lock`)) return false;
    const lock = takeLock(path);
    lock?.release();
    return lock === undefined;
  } catch {
    // Not ours to open: whoever writes is another user.
    return true;
  }
}
