import { byte, skipSpace, skipString, skipValue } from './bytes.ts';
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
 * Where a member stands in the bytes, for splices. Relies on the guard: the bytes are well-formed, no key stands twice.
 *
 * @param path names from the top, such as `['stream_options', 'include_usage']`
 * @returns undefined where there is no such member, or a step on the way is not an object
 */
export function locateMember(json: GuardedJson, path: readonly string[]): MemberRange | undefined {
  let range: MemberRange | undefined;
  for (const name of path) {
    const object = range === undefined ? json.start : range.start;
    if (json.bytes[object] !== byte.openBrace) return undefined;
    range = findMember(json.bytes, object, name);
    if (range === undefined) return undefined;
  }
  return range;
}

function findMember(bytes: Buffer, object: number, name: string): MemberRange | undefined {
  let at = skipSpace(bytes, object + 1);
  while (bytes[at] === byte.quote) {
    const keyStart = at;
    const keyEnd = skipString(bytes, keyStart + 1);
    const start = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const end = skipValue(bytes, start);
    if (JSON.parse(bytes.toString('utf8', keyStart, keyEnd)) === name) return { keyStart, start, end };
    const next = skipSpace(bytes, end);
    if (bytes[next] !== byte.comma) return undefined;
    at = skipSpace(bytes, next + 1);
  }
  return undefined;
}
