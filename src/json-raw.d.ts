/**
 * Numbers that a JavaScript number can't hold, kept as the text that they came as: `JSON.stringify` writes that text. Source:
 * TC39, JSON.parse source text access. TypeScript's libraries do not have it yet.
 */
interface JSON {
  /** @param text of one primitive JSON value */
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
}
