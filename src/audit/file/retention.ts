import type { Segment } from './segments.ts';

export interface Keep {
  /** Closed files that were last written longer ago are taken away; 0: none. */
  readonly forMs: number;
  /** Of all files; the oldest closed ones are taken away until the rest fits. 0: all may stay. */
  readonly bytes: number;
}

/**
 * @param closed files, the oldest first
 * @param activeBytes of the file that is written, which always stays
 * @returns those that may not stay, the oldest first: what stays is always the end of the chain, without a hole
 */
export function listOutdated(
  closed: readonly Segment[],
  activeBytes: number,
  keep: Keep,
  nowMs: number,
): readonly Segment[] {
  let total = closed.reduce((sum, { bytes }) => sum + bytes, activeBytes);
  let count = 0;
  for (const { bytes, writtenMs } of closed) {
    const isOld = keep.forMs > 0 && nowMs - writtenMs > keep.forMs;
    const isTooMuch = keep.bytes > 0 && total > keep.bytes;
    if (!isOld && !isTooMuch) break;
    total -= bytes;
    count += 1;
  }
  return closed.slice(0, count);
}
