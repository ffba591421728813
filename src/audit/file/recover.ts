/** Where a chain goes on: the last whole line of a file that its writer may have left in the middle of one. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { type Link, readSeal } from './seal.ts';

export interface Tail {
  /** Undefined where there is no whole line. */
  readonly link: Link | undefined;
  /** Bytes up to the end of that line. */
  readonly end: number;
  /** Bytes behind it. */
  readonly torn: number;
  /** Of those, lines that have their end and are not what was written: no crash makes them by itself. */
  readonly damagedLines: number;
  /** Of the log that the file belongs to, and the number of its first line; as its first line says. */
  readonly chain: string | undefined;
  readonly firstSeq: number | undefined;
  /** When the file was begun, Unix time in ms. */
  readonly begunMs: number | undefined;
}

const lineFeed = 0x0a;
const firstWindow = 256 * 1024;

/** @returns undefined where there is no such file @throws what the file system throws otherwise */
export function readTail(path: string): Tail | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const first = readFirst(fd, size);
    for (let window = Math.min(firstWindow, size); ; window = Math.min(window * 4, size)) {
      const found = searchBackwards(readAt(fd, size - window, window), size - window);
      if (found !== undefined) return { ...found, torn: size - found.end, ...first };
      if (window === size) return { link: undefined, end: 0, torn: size, damagedLines: countLines(fd, size), ...first };
    }
  } finally {
    closeSync(fd);
  }
}

function searchBackwards(bytes: Buffer, offset: number): Pick<Tail, 'link' | 'end' | 'damagedLines'> | undefined {
  let damagedLines = 0;
  let end = bytes.lastIndexOf(lineFeed);
  while (end >= 0) {
    // lastIndexOf takes a negative position for one from the end.
    const before = end === 0 ? -1 : bytes.lastIndexOf(lineFeed, end - 1);
    // The window may begin in the middle of a line.
    if (before < 0 && offset > 0) return undefined;
    const seal = readSeal(bytes.subarray(before + 1, end));
    if (seal?.intact === true) return { link: { seq: seal.seq, hash: seal.hash }, end: offset + end + 1, damagedLines };
    damagedLines += 1;
    end = before;
  }
  return undefined;
}

function readFirst(fd: number, size: number): Pick<Tail, 'chain' | 'firstSeq' | 'begunMs'> {
  const bytes = readAt(fd, 0, Math.min(size, 4096));
  const end = bytes.indexOf(lineFeed);
  const line = end < 0 ? undefined : bytes.subarray(0, end);
  const seal = line && readSeal(line);
  if (line === undefined || seal?.intact !== true) return { chain: undefined, firstSeq: undefined, begunMs: undefined };
  const opening: unknown = JSON.parse(line.toString('utf8'));
  const facts: Readonly<Record<string, unknown>> =
    typeof opening === 'object' && opening !== null ? { ...opening } : {};
  const begunMs = Date.parse(String(facts['time']));
  return {
    chain: typeof facts['chain'] === 'string' ? facts['chain'] : undefined,
    firstSeq: seal.seq,
    begunMs: Number.isNaN(begunMs) ? undefined : begunMs,
  };
}

function countLines(fd: number, size: number): number {
  let lines = 0;
  for (let at = 0; at < size; at += firstWindow)
    for (const byte of readAt(fd, at, Math.min(firstWindow, size - at))) if (byte === lineFeed) lines += 1;
  return lines;
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  while (at < length) {
    const read = readSync(fd, bytes, at, length - at, position + at);
    if (read === 0) break;
    at += read;
  }
  return bytes.subarray(0, at);
}
