/**
 * JSON in which no integer loses a digit. A JavaScript number holds integers up to 2^53; beyond that `JSON.parse` rounds in
 * silence, and two ids become one. Here such a number stays the text that it was written as (`JSON.rawJSON`):
 * `JSON.stringify` writes it out in full, and whoever wants a number finds an object.
 */

/** Whether a number of the text may be another one to JavaScript. Long digits in strings count as well: nobody looks where they stand. */
export function mayLoseDigits(text: string): boolean {
  if (/\d[eE]\+?\d{2}/.test(text)) return true;
  // 2^53 has 16 digits. What JavaScript writes the same again it has read rightly, such as times in nanoseconds of its own.
  for (const [digits] of text.matchAll(/\d{16,}/g)) if (String(Number(digits)) !== digits) return true;
  return false;
}

/**
 * @throws SyntaxError as JSON.parse does, and for a number beyond every JavaScript number: a policy would be handed null, or
 *   calculate with more digits than there is memory
 */
export function parseExactJson(text: string): unknown {
  if (!mayLoseDigits(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined) return value;
    if (!Number.isFinite(value)) throw new SyntaxError(`The number ${source.slice(0, 32)} is too large`);
    return exactNumber(value, source);
  });
}

/** @param text that the number was read from @returns the number, or its text where that says more */
export function exactNumber(number: number, text: string): unknown {
  if (Number.isSafeInteger(number) || !Number.isInteger(number)) return number;
  return String(number) === text ? number : JSON.rawJSON(text);
}
