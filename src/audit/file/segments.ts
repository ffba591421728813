/**
 * The files of one audit log: the one that is written, and beside it those that were closed, named by the number of their
 * first line: `audit.jsonl`, `audit.000000000000.jsonl`, `audit.000000051234.jsonl`.
 */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';

export interface Segment {
  readonly path: string;
  /** Number of its first line. */
  readonly firstSeq: number;
  readonly bytes: number;
  /** When it was last written, Unix time in ms. */
  readonly writtenMs: number;
}

const digits = 12;

/** @param path of the file that is written */
export function closedName(path: string, firstSeq: number): string {
  const extension = extname(path);
  const stem = basename(path, extension);
  return join(dirname(path), `${stem}.${String(firstSeq).padStart(digits, '0')}${extension}`);
}

/** The closed files, the oldest first; none where there is no such directory. */
export function listClosed(path: string): readonly Segment[] {
  const extension = extname(path);
  const prefix = `${basename(path, extension)}.`;
  let names: readonly string[];
  try {
    names = readdirSync(dirname(path));
  } catch {
    return [];
  }
  const segments: Segment[] = [];
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith(extension)) continue;
    const number = name.slice(prefix.length, name.length - extension.length);
    if (!/^\d{12,15}$/.test(number)) continue;
    const file = join(dirname(path), name);
    // One that retention takes away at this moment is none.
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() === true)
      segments.push({ path: file, firstSeq: Number(number), bytes: stat.size, writtenMs: stat.mtimeMs });
  }
  return segments.sort((a, b) => a.firstSeq - b.firstSeq);
}
