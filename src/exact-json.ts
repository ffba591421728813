/**
 * JSON in which no integer loses a digit. A JavaScript number holds integers up to 2^53; beyond that `JSON.parse` rounds in
 * silence, and two ids become one. Here such a number stays the text that it was written as (`JSON.rawJSON`):
 * `JSON.stringify` writes it out in full, and whoever wants a number finds an object.
 */

/** Digits that may be more than 2^53, or an exponent that may be more than a number holds. */
const mayLose = /\d{16}|\d[eE]\+?\d{2}/;

export function mayLoseDigits(text: string): boolean {
  return mayLose.test(text);
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
