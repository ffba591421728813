import type { Splice } from '../types.ts';

/**
 * @param bytes the judged document
 * @param splices that don't overlap, in any order
 * @returns a new buffer in which every byte outside the splices is as it was
 */
export function applySplices(bytes: Buffer, splices: readonly Splice[]): Buffer {
  const parts: Uint8Array[] = [];
  let position = 0;
  for (const splice of splices.toSorted((a, b) => a.start - b.start)) {
    if (splice.start < position) throw new RangeError(`The splice ${splice.name} overlaps another one.`);
    parts.push(bytes.subarray(position, splice.start), splice.bytes);
    position = splice.end;
  }
  parts.push(bytes.subarray(position));
  return Buffer.concat(parts);
}
