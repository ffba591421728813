import type { LongString } from './long-strings.ts';

/**
 * Puts a long string back where its stand-in was found.
 *
 * A stand-in is half a surrogate pair and a number. A caller can write one too, but no body with half a pair passes: each
 * stand-in may be there once, and whatever else holds half a pair is refused as ever.
 */
export interface CutStrings {
  /** @returns false where `text` is no stand-in, or one that was there before */
  restore(holder: object, key: string | number, text: string): boolean;
}

const half = '\ud800';
const halfAsEscape = '\\ud800';

/** A longer plain string is made when it is first read, which nobody does with a picture. */
const madeAtOnce = 16 * 1024;

/** @returns a copy of the text with a stand-in for each of the strings, which are in order and don't overlap */
export function cutOut(bytes: Buffer, strings: readonly LongString[]): Buffer {
  const standIns = strings.map((_, index) => `${halfAsEscape}${index}`);
  let length = bytes.length;
  for (const [index, { start, end }] of strings.entries()) length += (standIns[index]?.length ?? 0) - (end - start);
  const cut = Buffer.allocUnsafe(length);
  let at = 0;
  let from = 0;
  for (const [index, { start, end }] of strings.entries()) {
    at += bytes.copy(cut, at, from, start);
    at += cut.write(standIns[index] ?? '', at, 'latin1');
    from = end;
  }
  bytes.copy(cut, at, from);
  return cut;
}

export function createCutStrings(bytes: Buffer, strings: readonly LongString[]): CutStrings {
  const restored = new Set<number>();
  return {
    restore(holder, key, text) {
      const index = text.startsWith(half) ? Number(text.slice(half.length)) : -1;
      const string = strings[index];
      if (string === undefined || text !== `${half}${index}` || restored.has(index)) return false;
      restored.add(index);
      const { start, end } = string;
      if (string.text !== undefined || end - start <= madeAtOnce) {
        Object.defineProperty(holder, key, { value: string.text ?? bytes.toString('latin1', start, end) });
      } else {
        Object.defineProperty(holder, key, { get: () => make(holder, key, bytes.toString('latin1', start, end)) });
      }
      return true;
    },
  };
}

/** @returns the text, which is from now on an ordinary member */
function make(holder: object, key: string | number, text: string): string {
  Object.defineProperty(holder, key, { value: text, writable: true });
  return text;
}
