/** Hard bound: a document that fails slowly must not hold up the run. */
const mostTries = 20_000;

/**
 * Takes bytes out for as long as what is left still fails: first long pieces, then what stands between two of JSON's
 * structural bytes, then byte by byte.
 *
 * @param fails whether a document still shows what it is to show
 */
export async function minimise(bytes: Buffer, fails: (bytes: Buffer) => Promise<boolean>): Promise<Buffer> {
  let best = bytes;
  let tries = 0;

  async function without(from: number, to: number): Promise<boolean> {
    if (tries >= mostTries || to <= from) return false;
    tries++;
    const candidate = Buffer.concat([best.subarray(0, from), best.subarray(to)]);
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  }

  for (let size = best.length >> 1; size >= 32; size >>= 1) {
    for (let at = 0; at < best.length; ) if (!(await without(at, at + size))) at += size;
  }
  for (let before = best.length + 1; before > best.length; ) {
    before = best.length;
    for (let from = 0; from < best.length; ) {
      const ends = borders(best).filter((end) => end > from);
      let cut = false;
      for (const to of ends.toReversed()) cut ||= await without(from, to);
      if (!cut) from = ends[0] ?? best.length;
    }
    for (let at = 0; at < best.length; ) if (!(await without(at, at + 1))) at++;
  }
  return best;
}

/** Before and behind each structural byte, in order. */
function borders(bytes: Buffer): readonly number[] {
  const found = new Set([bytes.length]);
  for (const [at, byte] of bytes.entries())
    if ('{}[],:"'.includes(String.fromCharCode(byte))) found.add(at).add(at + 1);
  return [...found].sort((one, other) => one - other);
}
