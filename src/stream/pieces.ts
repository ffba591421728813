/**
 * Puts a line, or a body, together that comes in pieces. What it holds is bounded, and what is made of it stays cheap to
 * parse: the ids in `context` and the numbers of embeddings, of which a frame can hold megabytes, are left out.
 */

/** What of a frame is never read: everything between the end of `from` and the beginning of the next `to`. */
export interface Bulk {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** The beginning of a line that is held, bytes. */
const longestHead = 16 * 1024 * 1024;
/** The end of a longer line that is held at least, bytes. Ollama writes the counts behind all else. */
const longestTail = 64 * 1024;
/** Length from which it pays to leave the bulk out, bytes. */
const worthAbridging = 256 * 1024;
/** A buffer up to this size is used for the next line again, bytes. */
const longestReused = 64 * 1024;
const lineFeed = 0x0a;
const nothing: Buffer = Buffer.alloc(0);

export interface Pieces {
  isEmpty(): boolean;
  keep(piece: Buffer): void;
  /** @returns the pieces and `rest`, which ends the line and may hold more of them; undefined if there is nothing */
  take(rest: Buffer): Buffer | undefined;
}

/** Copied into one buffer that doubles: a list of pieces would take a hundred times their bytes where they come one by one. */
export function createPieces(bulk: Bulk | undefined): Pieces {
  let head: Buffer = nothing;
  let tail: Buffer = nothing;
  let inHead = 0;
  let inTail = 0;

  return {
    isEmpty: () => inHead === 0,
    keep(piece) {
      const end = Math.min(inHead + piece.length, longestHead);
      if (end > head.length) head = grow(head, inHead, end);
      const copied = piece.copy(head, inHead, 0, end - inHead);
      inHead = end;
      if (copied < piece.length) keepTail(piece.subarray(Math.max(copied, piece.length - longestTail)));
    },
    take(rest) {
      const held = head.subarray(0, inHead);
      const joined = inHead > worthAbridging ? joinLong(held, rest) : Buffer.concat([held, rest]);
      if (head.length > longestReused) head = nothing;
      tail = nothing;
      inHead = 0;
      inTail = 0;
      return joined.length === 0 ? undefined : joined;
    },
  };

  /** @param piece of at most `longestTail` bytes */
  function keepTail(piece: Buffer): void {
    if (tail.length === 0) tail = Buffer.allocUnsafe(2 * longestTail);
    if (inTail + piece.length > tail.length) {
      tail.copyWithin(0, inTail - longestTail, inTail);
      inTail = longestTail;
    }
    piece.copy(tail, inTail);
    inTail += piece.length;
  }

  function joinLong(held: Buffer, rest: Buffer): Buffer {
    const lineEnd = rest.indexOf(lineFeed) + 1;
    const line = Buffer.concat([held, tail.subarray(0, inTail), rest.subarray(0, lineEnd)]);
    return Buffer.concat([bulk === undefined ? line : abridge(line, bulk), rest.subarray(lineEnd)]);
  }
}

/**
 * Leaves the bulk out of a frame. That and a middle that was let go can only make it unreadable, never say anything else:
 * text has its quotes escaped, so what is read as a member behind the gap is one, at the depth that the braces behind it say.
 */
function abridge(line: Buffer, { from, to }: Bulk): Buffer {
  const start = line.indexOf(from);
  const end = start === -1 ? -1 : line.indexOf(to, start + from.length);
  if (end === -1) return line;
  const abridged = Buffer.concat([line.subarray(0, start + from.length), line.subarray(end)]);
  // Arguments of a tool can have a member of the same name.
  return isJson(abridged) ? abridged : line;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function grow(kept: Buffer, bytes: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(needed, kept.length * 2, 1024));
  kept.copy(larger, 0, 0, bytes);
  return larger;
}
