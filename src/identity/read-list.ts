/** A file that holds one list of entries, as YAML or JSON: keys of callers, what was revoked. */
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';

/** A file of ten thousand entries has some 4 MiB. */
const mostBytes = 8 * 1024 * 1024;
export const mostEntries = 10_000;

/** RFC 3339 with its zone, as Unix time in ms. */
export const instant = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2026-12-01T00:00:00Z' })
  .transform((text) => Date.parse(text));

/**
 * @param schema of the whole file
 * @returns what it says, or why it can't be used: where, and never what stands there
 */
export function readListFile<S extends z.ZodType>(
  bytes: Uint8Array,
  schema: S,
): { readonly value: z.output<S> } | string {
  if (bytes.length > mostBytes) return `has more than ${mostBytes} bytes`;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return 'is not UTF-8';
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    return `is no YAML: line ${line}, column ${col} (${error.code})`;
  }
  let content: unknown;
  try {
    // An alias may unfold to any size.
    content = document.toJS({ maxAliasCount: 0 });
  } catch {
    return 'uses aliases of YAML, which are not read here';
  }
  const checked = schema.safeParse(content);
  if (checked.success) return { value: checked.data };
  const faults = checked.error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  const more = checked.error.issues.length - faults.length;
  return `can not be used: ${faults.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
