import { isAscii, isUtf8 } from 'node:buffer';
import { RequestError } from '../../errors.ts';
import { byte } from './bytes.ts';
import type { Shape } from './known-members.ts';
import { parseEscaping, parseText } from './parse.ts';
import { scanStructure } from './scan.ts';
import { walkMembers } from './walk.ts';

/** A body that every reader reads alike. */
export interface GuardedJson {
  readonly bytes: Buffer;
  readonly value: Readonly<Record<string, unknown>>;
  /** Offset of the object's opening brace. */
  readonly start: number;
  /** Offset behind its closing brace. */
  readonly end: number;
}

/**
 * Lets a JSON object pass only if a JavaScript and a Go reader see the same in it; these bytes are then what is forwarded.
 *
 * `JSON.parse` and Go's `encoding/json` share the grammar (white space, escapes, numbers, no control characters), so
 * `JSON.parse` stands for both, but for keys with escapes (`parseEscaping`). They differ in duplicate keys, folded keys,
 * broken UTF-8, lone surrogates and what follows the value, which is what is refused here. Duplicates: the bytes then hold
 * more structural colons than the value members.
 *
 * @param known what Ollama knows of this kind of request
 * @throws RequestError `missing_body`, `byte_order_mark`, `invalid_utf8`, `invalid_json`, `trailing_data`, `too_deep`,
 *   `too_complex`, `not_an_object`, `duplicate_member`, `ambiguous_member`, `lone_surrogate`, `invalid_member`
 */
export function guardJson(bytes: Buffer, known: Shape): GuardedJson {
  if (beginsWithMark(bytes)) throw new RequestError('byte_order_mark');
  const ascii = isAscii(bytes);
  if (!ascii && !isUtf8(bytes)) throw new RequestError('invalid_utf8');

  const escapes = bytes.includes(byte.backslash);
  const { start, end, colons, escaping } = scanStructure(bytes, escapes);
  const text = bytes.toString(ascii ? 'latin1' : 'utf8');
  const value = escaping === undefined ? parseText(text) : parseEscaping(bytes, start, escaping);
  if (!isObject(value)) throw new RequestError('not_an_object');
  // Half a surrogate pair can only be there by escape.
  const strings = escapes && /\\u[dD]/.test(text);
  if (walkMembers(value, known, strings) !== colons) throw new RequestError('duplicate_member');
  return { bytes, value, start, end };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** UTF-8's mark, and both of UTF-16's, whose readers would otherwise get a less exact answer. */
function beginsWithMark(bytes: Buffer): boolean {
  const [first, second, third] = bytes;
  return (
    (first === 0xef && second === 0xbb && third === 0xbf) ||
    (first === 0xff && second === 0xfe) ||
    (first === 0xfe && second === 0xff)
  );
}
