/** JSON's structural bytes. */
export const byte = {
  quote: 0x22,
  backslash: 0x5c,
  colon: 0x3a,
  comma: 0x2c,
  openBrace: 0x7b,
  closeBrace: 0x7d,
  openBracket: 0x5b,
  closeBracket: 0x5d,
} as const;

/** A call of `indexOf` costs as much as looking at some hundred bytes one by one. */
const shortString = 64;

/**
 * @param from behind a string's opening quote
 * @returns the offset behind its closing quote; -1 where there is none
 */
export function skipString(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const near = Math.min(bytes.length, at + shortString);
    while (at < near && bytes[at] !== byte.quote) at++;
    if (at === near) {
      at = bytes.indexOf(byte.quote, at);
      if (at === -1) return -1;
    }
    // An odd number of backslashes before a quote makes it part of the string.
    let before = at - 1;
    while (before >= from && bytes[before] === byte.backslash) before--;
    at++;
    if ((at - before) % 2 === 0) return at;
  }
}

/** The four bytes that both JSON.parse and Go's decoder take as white space. */
export function isSpace(value: number | undefined): boolean {
  return value === 0x20 || value === 0x0a || value === 0x0d || value === 0x09;
}

/** @returns the offset of the first byte from `from` on that is no white space, or the length */
export function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && isSpace(bytes[at])) at++;
  return at;
}

/**
 * @param start a value's first byte, in a text whose strings end and whose brackets close
 * @returns the offset behind its last byte
 */
export function skipValue(bytes: Buffer, start: number): number {
  let depth = 0;
  let at = start;
  while (at < bytes.length) {
    const here = bytes[at];
    if (here === byte.quote) {
      at = skipString(bytes, at + 1);
      if (at === -1) return bytes.length;
      if (depth === 0) return at;
    } else if (here === byte.openBrace || here === byte.openBracket) {
      depth++;
      at++;
    } else if (here === byte.closeBrace || here === byte.closeBracket) {
      if (depth === 0) return at;
      at++;
      if (--depth === 0) return at;
    } else {
      if (depth === 0 && (here === byte.comma || isSpace(here))) return at;
      at++;
    }
  }
  return at;
}
