import type { GuardedJson } from './guard.ts';

/** Offsets into the guarded bytes; each end is behind the last byte. */
export interface MemberRange {
  /** The key's opening quote. */
  readonly keyStart: number;
  /** The value's first byte. */
  readonly start: number;
  /** Behind the value's last byte. */
  readonly end: number;
}

/**
 * Where a member stands in the bytes, for splices.
 *
 * @param path names from the top, such as `['stream_options', 'include_usage']`
 * @returns undefined where there is no such member, or a step on the way is not an object
 */
export function locateMember(_json: GuardedJson, _path: readonly string[]): MemberRange | undefined {
  throw new Error('not yet');
}
