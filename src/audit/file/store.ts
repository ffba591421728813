/**
 * The file that audit lines are written to: bytes are appended whole or not at all, and it is put aside for an empty one
 * when it is full. Positions are said with each write, so that what failed half-way is written over and never followed.
 */
import { constants, existsSync, writeSync } from 'node:fs';
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { readTail, type Tail } from './recover.ts';
import { closedName, listClosed } from './segments.ts';

export interface Store {
  /** Where the chain goes on; undefined where there is none yet. */
  readonly found: Tail | undefined;
  /** Of the file that is written. */
  bytes(): number;
  begunMs(): number;
  /** Number of its first line. */
  firstSeq(): number;
  /**
   * Rejects with what the file system says; then nothing was appended.
   *
   * @param seq number of the first of these lines
   */
  append(bytes: Buffer, seq: number): Promise<void>;
  /** Without waiting, for a process that is about to crash. */
  appendNow(bytes: Buffer): void;
  sync(): Promise<void>;
  /** Puts the file aside; what comes next begins an empty one. */
  rotate(): Promise<void>;
  /** Whether the file still lies where it should. */
  isInPlace(): Promise<boolean>;
  close(): Promise<void>;
}

/** For the sidecar's own user alone: who called and when is nobody else's business. */
const fileMode = 0o600;

/**
 * @param options.synced each write is on disk once it is done
 * @throws where the directory or the file can't be made or read, or the file is another one than an audit log
 */
export async function openStore(path: string, options: { readonly synced: boolean }): Promise<Store> {
  const active = readTail(path);
  const isForeign = active !== undefined && active.link === undefined && active.damagedLines > 0;
  if (isForeign) throw new Error('it holds no line of an audit log; name another file, or move this one away');
  const found = active?.link === undefined ? tailOfClosed(path, active) : active;
  const flags = constants.O_RDWR | (options.synced ? constants.O_DSYNC : 0);

  let end = active?.end ?? 0;
  let firstSeq = active?.firstSeq ?? (found?.link?.seq ?? -1) + 1;
  let begunMs = active?.begunMs ?? Date.now();
  /** Something may lie behind `end`. */
  let torn = (active?.torn ?? 0) > 0;
  let handle: FileHandle | undefined = await open(path, flags | constants.O_CREAT, fileMode);
  await syncDirectory(path);

  async function begin(seq: number): Promise<FileHandle> {
    // Whatever lies there was not made here.
    const made = await open(path, flags | constants.O_CREAT | constants.O_EXCL, fileMode);
    await syncDirectory(path);
    [firstSeq, begunMs, torn] = [seq, Date.now(), false];
    handle = made;
    return made;
  }

  async function putAside(): Promise<void> {
    const closed = handle;
    handle = undefined;
    end = 0;
    await closed?.close();
  }

  return {
    found,
    bytes: () => end,
    begunMs: () => begunMs,
    firstSeq: () => firstSeq,
    async append(bytes, seq) {
      const file = handle ?? (await begin(seq));
      if (torn) await file.truncate(end);
      torn = true;
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, end + at);
        at += bytesWritten;
      }
      torn = false;
      end += bytes.length;
    },
    appendNow(bytes) {
      if (handle !== undefined) writeSync(handle.fd, bytes, 0, bytes.length, end);
    },
    async sync() {
      await handle?.datasync();
    },
    async rotate() {
      const name = closedName(path, firstSeq);
      if (existsSync(name)) throw new Error(`there is a file ${name} already`);
      await handle?.datasync();
      await rename(path, name);
      await putAside();
    },
    async isInPlace() {
      if (handle === undefined) return true;
      // A file that was unlinked takes every byte and keeps none.
      const [own, there] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
      const isThere = there !== undefined && there.ino === own.ino && there.dev === own.dev;
      if (!isThere) await putAside();
      return isThere;
    },
    async close() {
      await handle?.datasync();
      await putAside();
    },
  };
}

/** A crash between two files: the one that was written has no line yet. */
function tailOfClosed(path: string, active: Tail | undefined): Tail | undefined {
  const last = listClosed(path).at(-1);
  const tail = last && readTail(last.path);
  return tail === undefined ? undefined : { ...tail, torn: active?.torn ?? 0 };
}

/** A new name is on disk once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
