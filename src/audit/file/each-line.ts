import { createReadStream } from 'node:fs';

export interface FileLine {
  /** From 1. */
  readonly number: number;
  /** Without its end; undefined where it is longer than any line that was written. */
  readonly bytes: Buffer | undefined;
  /** Whether a line feed ends it. */
  readonly ended: boolean;
}

const lineFeed = 0x0a;
/** Longer than a line with the largest head of a request can be. */
const longest = 4 * 1024 * 1024;

/**
 * The lines of a file in order, those of one chunk in one turn: other work goes on between two chunks.
 *
 * @param take is handed each of them; false ends it
 * @param rest asked between two chunks: what has to be over before the next one is read, if anything
 * @throws (rejects) what the file system throws
 */
export async function eachLine(
  path: string,
  take: (line: FileLine) => boolean | undefined,
  rest?: () => Promise<void> | undefined,
): Promise<void> {
  let number = 0;
  let pieces: Buffer[] = [];
  let length = 0;
  const end = (ended: boolean): boolean => {
    number += 1;
    const [only = Buffer.alloc(0)] = pieces;
    const bytes = length > longest ? undefined : pieces.length === 1 ? only : Buffer.concat(pieces);
    [pieces, length] = [[], 0];
    return take({ number, bytes, ended }) !== false;
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 128 * 1024 })) {
    if (!Buffer.isBuffer(chunk)) continue;
    let start = 0;
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, start)) {
      pieces.push(chunk.subarray(start, at));
      length += at - start;
      start = at + 1;
      if (!end(true)) return;
    }
    length += chunk.length - start;
    if (length > longest) pieces = [];
    else if (start < chunk.length) pieces.push(chunk.subarray(start));
    const resting = rest?.();
    if (resting !== undefined) await resting;
  }
  if (length > 0) end(false);
}
