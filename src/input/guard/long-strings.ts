import { isAscii, isUtf8 } from 'node:buffer';
import { RequestError } from '../../errors.ts';
import { byte, skipString } from './bytes.ts';
import { vector } from './vector.ts';
import { layout } from './vector-module.ts';

/** A long string that JSON.parse need not see. */
export interface LongString {
  /** Behind the opening quote. */
  readonly start: number;
  /** The closing quote. */
  readonly end: number;
  /** What the string says; undefined where it is plain ASCII without escapes, so that the bytes say it themselves. */
  readonly text: string | undefined;
}

export interface LongStrings {
  /** As `skipString`, and notes the string if it is long and valid: no control character, each escape one of JSON's. */
  skip(from: number): number;
  /** The last string was a key, which stays in the text. */
  dropKey(start: number): void;
  readonly found: readonly LongString[];
}

/** To leave a shorter one to JSON.parse costs less than to replace it. */
const longString = 1024;

/** Bytes that are looked at one by one before the vector loops are asked. */
const shortString = 48;

/** The longest escape, a pair of surrogates. */
const longestEscape = 12;

/**
 * @throws RequestError (from `skip`) `invalid_utf8`
 */
export function createLongStrings(bytes: Buffer): LongStrings {
  const { memory } = vector;
  const found: LongString[] = [];
  /** The bytes from `base` to `limit` lie in the window. */
  let base = 0;
  let limit = 0;

  function load(from: number): void {
    base = from;
    limit = Math.min(bytes.length, from + layout.window);
    bytes.copy(memory, layout.input, base, limit);
    const behind = layout.input + limit - base;
    memory.fill(0, behind, behind + layout.guardBytes);
  }

  function skip(from: number): number {
    for (let near = from; near < from + shortString; near++) {
      if (bytes[near] === byte.quote) return near + 1;
      if (bytes[near] === byte.backslash) break;
    }
    // From its first byte on: so far nobody has looked for control characters.
    let at = from;
    do {
      if (at < base || at >= limit) load(at);
      at = base + vector.find(layout.input + at - base) - layout.input;
    } while (at === limit && limit < bytes.length);
    const here = bytes[at];
    if (here === byte.quote) {
      if (at - from >= longString) found.push({ start: from, end: at, text: undefined });
      return at + 1;
    }
    if (here === byte.backslash || (here !== undefined && here > 0x7f)) return decode(from, at);
    return skipString(bytes, at);
  }

  /** @param at no escape and nothing beyond ASCII stands before it */
  function decode(from: number, at: number): number {
    const pieces: Buffer[] = [];
    let here = from;
    if (from < base) {
      pieces.push(bytes.subarray(from, at));
      here = at;
    }
    let out: number = layout.output;
    let escapes = 0;
    while (true) {
      here = base + vector.resolve(layout.input + here - base, out) - layout.input;
      out = vector.outEnd();
      if (bytes[here] === byte.quote) break;
      if (limit - here < longestEscape && limit < bytes.length) {
        pieces.push(Buffer.from(memory.subarray(layout.output, out)));
        out = layout.output;
        load(here);
        continue;
      }
      // An escape of a code point is read here. Where there are many JSON.parse is faster; what is wrong it will find.
      const length = escapes++ > 16 + ((here - from) >> 8) ? 0 : lengthOfEscape(bytes, here);
      if (length === 0) return skipString(bytes, here);
      const text: unknown = JSON.parse(`"${bytes.toString('latin1', here, here + length)}"`);
      out += memory.write(String(text), out);
      here += length;
    }
    if (here - from >= longString) {
      const last = memory.subarray(layout.output, out);
      found.push({ start: from, end: here, text: read(pieces.length === 0 ? last : Buffer.concat([...pieces, last])) });
    }
    return here + 1;
  }

  return {
    skip,
    found,
    dropKey(start) {
      if (found.at(-1)?.start === start) found.pop();
    },
  };
}

/** That escapes are resolved makes nothing valid or invalid: where one stood there is a whole character. */
function read(utf8: Buffer): string {
  if (isAscii(utf8)) return utf8.toString('latin1');
  if (!isUtf8(utf8)) throw new RequestError('invalid_utf8');
  return utf8.toString();
}

/** @returns 6 for a code unit that is a character, 12 for a pair of surrogates; 0 for anything else */
function lengthOfEscape(bytes: Buffer, at: number): number {
  const unit = unitAt(bytes, at);
  if (unit < 0 || (unit & 0xfc00) === 0xdc00) return 0;
  if ((unit & 0xfc00) !== 0xd800) return 6;
  return (unitAt(bytes, at + 6) & 0xfc00) === 0xdc00 ? 12 : 0;
}

/** @returns the code unit of the escape, `\u` and four digits, at `at`; -1 where there is none */
function unitAt(bytes: Buffer, at: number): number {
  if (bytes[at] !== byte.backslash || bytes[at + 1] !== 0x75) return -1;
  const digits = bytes.toString('latin1', at + 2, at + 6);
  return /^[\da-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
}
