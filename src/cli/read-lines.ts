/** Lines of a log of any size: held one at a time, and none of them without a bound. */

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Undefined where it is too long, or is not UTF-8. */
  readonly text: string | undefined;
  /** Whether a line feed ends it; one that has none may be cut. */
  readonly ended: boolean;
}

const lineFeed = 0x0a;

/** @param longest bytes of a line that is still read */
export async function* readLines(source: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  /** Of a line that has begun; those of one that is too long are not kept. */
  let pieces: Uint8Array[] = [];
  let length = 0;

  const gather = (piece: Uint8Array): void => {
    length += piece.length;
    if (length > longest) pieces = [];
    else pieces.push(piece);
  };
  const finish = (ended: boolean): Line => {
    number += 1;
    const text = length > longest ? undefined : decode(decoder, pieces);
    pieces = [];
    length = 0;
    return { number, text, ended };
  };

  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      gather(chunk.subarray(start, end));
      yield finish(true);
      start = end + 1;
    }
    if (start < chunk.length) gather(chunk.subarray(start));
  }
  if (length > 0) yield finish(false);
}

function decode(decoder: TextDecoder, pieces: readonly Uint8Array[]): string | undefined {
  const [only = new Uint8Array(), ...more] = pieces;
  try {
    return decoder.decode(more.length === 0 ? only : Buffer.concat(pieces));
  } catch {
    return undefined;
  }
}
