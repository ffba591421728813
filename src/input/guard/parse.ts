import { RequestError } from '../../errors.ts';
import { byte, skipSpace, skipString, skipValue } from './bytes.ts';

/** @throws RequestError `invalid_json`; V8's own message quotes the text */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RequestError('invalid_json');
  }
}

/**
 * Parses a value that holds keys with escapes without showing V8 such a key.
 *
 * V8 (nodejs/node issue 63785; Node 24 and 26) can return another key than the one that stands there: it guesses a key from
 * objects that it parsed before and compares the guess with the text before escapes are resolved. A caller could send
 * `{"model":"a","\\u006":0}` once, and from then on `{"model":"a","\u006dodel":"b"}` would have no second `model` here, but
 * one in Go. Strings that are no keys are read rightly, and so are keys without an escape.
 *
 * @param start the value's first byte; strings end and brackets close, which `scanStructure` has seen to
 * @param escaping the arrays and objects that hold such a key; every other value is left to `JSON.parse`
 * @throws RequestError `invalid_json`
 */
export function parseEscaping(bytes: Buffer, start: number, escaping: ReadonlySet<number>): unknown {
  let at = start;

  function readValue(): unknown {
    if (!escaping.has(at)) return readPlain(skipValue(bytes, at));
    return bytes[at] === byte.openBrace ? readObject() : readArray();
  }

  function readPlain(end: number): unknown {
    const text = bytes.toString('utf8', at, end);
    at = end;
    return parseText(text);
  }

  function readObject(): unknown {
    const entries: Array<readonly [string, unknown]> = [];
    readElements(byte.closeBrace, () => {
      if (bytes[at] !== byte.quote) throw new RequestError('invalid_json');
      const key = readPlain(skipString(bytes, at + 1));
      skip(byte.colon);
      entries.push([String(key), readValue()]);
    });
    // Defines members, so `__proto__` is one like any other; of duplicates the last stays, as with JSON.parse.
    return Object.fromEntries(entries);
  }

  function readArray(): unknown {
    const elements: unknown[] = [];
    readElements(byte.closeBracket, () => elements.push(readValue()));
    return elements;
  }

  /** Never called for an empty array or object: those hold no keys. */
  function readElements(close: number, readElement: () => void): void {
    do {
      at = skipSpace(bytes, at + 1);
      readElement();
      at = skipSpace(bytes, at);
    } while (bytes[at] === byte.comma);
    if (bytes[at++] !== close) throw new RequestError('invalid_json');
  }

  function skip(expected: number): void {
    at = skipSpace(bytes, at);
    if (bytes[at] !== expected) throw new RequestError('invalid_json');
    at = skipSpace(bytes, at + 1);
  }

  return readValue();
}
