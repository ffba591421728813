import { RequestError } from '../../errors.ts';
import { byte, skipSpace, skipString } from './bytes.ts';
import type { LongStrings } from './long-strings.ts';

const maxDepth = 64;

/**
 * Bounds the work that a body can make: an element is counted once, a member, an array or an object ten times. A body of
 * this weight takes some tens of milliseconds to parse; Ollama's longest honest arrays are token ids (`context`).
 */
const maxWeight = 1_000_000;

export interface Structure {
  /** Offset of the opening brace. */
  readonly start: number;
  /** Offset behind the closing brace. */
  readonly end: number;
  /** Colons outside of strings: one for each member at any depth, also for those that a parser would overwrite. */
  readonly colons: number;
  /** Offsets of the arrays and objects that hold, at any depth, a key with an escape; undefined where there is none. */
  readonly escaping: ReadonlySet<number> | undefined;
}

/**
 * Walks the bytes of a JSON object from bracket to bracket, jumping over strings. It says nothing about the grammar between
 * the brackets, that is for the parser, but bounds what the parser is given.
 *
 * @param escapes whether there may be a backslash
 * @param long told of each string, if given; knows afterwards which long ones there are beside keys
 * @throws RequestError `missing_body`, `not_an_object`, `invalid_json`, `trailing_data`, `too_deep`, `too_complex`,
 *   `invalid_utf8` (of `long`)
 */
export function scanStructure(bytes: Buffer, escapes: boolean, long: LongStrings | undefined): Structure {
  const start = skipSpace(bytes, 0);
  if (start === bytes.length) throw new RequestError('missing_body');
  if (bytes[start] !== byte.openBrace) throw refuseOther(bytes[start]);

  const open: number[] = [];
  let escaping: Set<number> | undefined;
  let at = start;
  let colons = 0;
  let containers = 0;
  let commas = 0;
  let string = start;
  let stringEnd = start;
  do {
    switch (bytes[at++]) {
      case byte.quote:
        string = at;
        at = long === undefined ? skipString(bytes, at) : long.skip(at);
        if (at === -1) throw new RequestError('invalid_json');
        stringEnd = at;
        break;
      case byte.colon:
        colons++;
        if (long !== undefined) long.dropKey(string);
        // What stands before a colon is a key, or the parser will find that this is no JSON.
        if (escapes && holdsEscape(bytes, string, stringEnd)) {
          escaping ??= new Set();
          for (const container of open) escaping.add(container);
        }
        break;
      case byte.comma:
        commas++;
        break;
      case byte.openBrace:
      case byte.openBracket:
        containers++;
        if (open.push(at - 1) > maxDepth) throw new RequestError('too_deep');
        break;
      case byte.closeBrace:
      case byte.closeBracket:
        open.pop();
        break;
      case undefined:
        throw new RequestError('invalid_json', 'The body ends before its JSON value does.');
    }
  } while (open.length > 0);

  if (commas + 10 * (colons + containers) > maxWeight) throw new RequestError('too_complex');
  if (skipSpace(bytes, at) !== bytes.length) throw new RequestError('trailing_data');
  return { start, end: at, colons, escaping };
}

function holdsEscape(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] === byte.backslash) return true;
  }
  return false;
}

/** What doesn't begin with a brace is no object; whether it begins like JSON decides only about the words. */
function refuseOther(first: number | undefined): RequestError {
  const beginsValue = first !== undefined && '["-0123456789tfn'.includes(String.fromCharCode(first));
  return new RequestError(beginsValue ? 'not_an_object' : 'invalid_json');
}
