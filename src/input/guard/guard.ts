import { isAscii, isUtf8 } from 'node:buffer';
import { RequestError } from '../../errors.ts';
import { byte } from './bytes.ts';
import { type CutStrings, createCutStrings, cutOut } from './cut.ts';
import type { Shape } from './known-members.ts';
import { createLongStrings } from './long-strings.ts';
import { parseEscaping, parseText } from './parse.ts';
import { type Structure, scanStructure } from './scan.ts';
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
 * Long strings are checked in the bytes and put into the value behind the parser's back (`cut.ts`). Who reads the value sees
 * no difference.
 *
 * @param known what Ollama knows of this kind of request
 * @throws RequestError `missing_body`, `byte_order_mark`, `invalid_utf8`, `invalid_json`, `trailing_data`, `too_deep`,
 *   `too_complex`, `not_an_object`, `duplicate_member`, `ambiguous_member`, `lone_surrogate`, `invalid_member`,
 *   `invalid_arguments`
 */
export function guardJson(bytes: Buffer, known: Shape): GuardedJson {
  if (beginsWithMark(bytes)) throw new RequestError('byte_order_mark');
  return bytes.length < largeBody ? guardSmall(bytes, known) : guardLarge(bytes, known);
}

/** A smaller one gains nothing by what is done for long strings. */
const largeBody = 4096;

function guardSmall(bytes: Buffer, known: Shape): GuardedJson {
  const ascii = isAscii(bytes);
  if (!ascii && !isUtf8(bytes)) throw new RequestError('invalid_utf8');
  const escapes = bytes.includes(byte.backslash);
  const structure = scanStructure(bytes, escapes, undefined);
  const text = bytes.toString(ascii ? 'latin1' : 'utf8');
  return guardText(bytes, known, { text, structure, strings: escapes && halfPair.test(text), cut: undefined });
}

/** Leaves the parser a text without its long strings. */
function guardLarge(bytes: Buffer, known: Shape): GuardedJson {
  const long = createLongStrings(bytes);
  let structure: Structure;
  try {
    structure = scanStructure(bytes, true, long);
  } catch (error) {
    throw isUtf8(bytes) ? error : new RequestError('invalid_utf8');
  }
  // `parseEscaping` works on the whole text.
  const isCut = long.found.length > 0 && structure.escaping === undefined;
  const shown = isCut ? cutOut(bytes, long.found) : bytes;
  const ascii = isAscii(shown);
  if (!ascii && !isUtf8(shown)) throw new RequestError('invalid_utf8');
  const text = shown.toString(ascii ? 'latin1' : 'utf8');
  const cut = isCut ? createCutStrings(bytes, long.found) : undefined;
  return guardText(bytes, known, { text, structure, strings: isCut || halfPair.test(text), cut });
}

/** Half a surrogate pair can only be there by escape. */
const halfPair = /\\u[dD]/;

interface Readable {
  readonly text: string;
  readonly structure: Structure;
  readonly strings: boolean;
  readonly cut: CutStrings | undefined;
}

function guardText(bytes: Buffer, known: Shape, { text, structure, strings, cut }: Readable): GuardedJson {
  const { start, end, colons, escaping } = structure;
  const value = escaping === undefined ? parseText(text) : parseEscaping(bytes, start, escaping);
  if (!isObject(value)) throw new RequestError('not_an_object');
  if (walkMembers(value, known, { strings, cut, readJson: guardArguments }) !== colons)
    throw new RequestError('duplicate_member');
  return { bytes, value, start, end };
}

const exactKeys: Shape = { kind: 'free' };

/**
 * The arguments of a tool call as `/v1` has them: JSON in a string, which `FromCompletionToolCall` and the responses' input
 * decode into a map. The same rules as for a body hold, so a policy that parses them reads what the model will be shown. An
 * empty string is no JSON: one route refuses it, the other takes it as no arguments.
 */
function guardArguments(text: string): void {
  if (text === '') return;
  try {
    guardJson(Buffer.from(text), exactKeys);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    throw new RequestError('invalid_arguments', `The arguments of a tool call are refused (${error.code}).`);
  }
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
