/**
 * A naive JSON reader to judge others by: slow, short, and without V8's object parser, which can return other keys than those
 * that stand in the text (nodejs/node issue 63785).
 */
export interface NaiveObject {
  readonly entries: ReadonlyArray<readonly [key: string, value: unknown]>;
}

export interface NaiveJson {
  readonly value: unknown;
  readonly duplicate: boolean;
  readonly members: number;
}

const token = /[\t\n\r ]*([{}[\],:]|"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|[^\t\n\r {}[\],:"]+)[\t\n\r ]*/y;

/** @throws SyntaxError where the text is not one JSON value */
export function readNaively(text: string): NaiveJson {
  let duplicate = false;
  let members = 0;
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const [, found] = token.exec(text) ?? [];
    if (found === undefined) throw new SyntaxError('no token');
    tokens.push(found);
  }

  function next(): string {
    const found = tokens.shift();
    if (found === undefined) throw new SyntaxError('ended');
    return found;
  }

  function readString(found: string): string {
    if (!found.startsWith('"')) throw new SyntaxError('no string');
    return JSON.parse(found);
  }

  function readList<T>(close: string, readOne: () => T): T[] {
    const list: T[] = [];
    if (tokens[0] === close) {
      next();
      return list;
    }
    for (;;) {
      list.push(readOne());
      const after = next();
      if (after === close) return list;
      if (after !== ',') throw new SyntaxError('no comma');
    }
  }

  function readMember(): readonly [string, unknown] {
    members++;
    const key = readString(next());
    if (next() !== ':') throw new SyntaxError('no colon');
    return [key, readValue()];
  }

  function readValue(): unknown {
    const found = next();
    if (found === '[') return readList(']', readValue);
    if (found !== '{') return JSON.parse(found);
    const entries = readList('}', readMember);
    duplicate ||= new Set(entries.map(([key]) => key)).size < entries.length;
    const value: NaiveObject = { entries };
    return value;
  }

  const value = readValue();
  if (tokens.length > 0) throw new SyntaxError('more');
  return { value, duplicate, members };
}

/** A parsed value in the naive reader's form, members in order of their keys. */
export function toNaive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toNaive);
  if (typeof value !== 'object' || value === null) return value;
  const entries = 'entries' in value && isNaive(value) ? value.entries : Object.entries(value);
  const sorted = [...entries].sort(([one], [other]) => (one < other ? -1 : 1));
  return { entries: sorted.map(([key, member]) => [key, toNaive(member)] as const) };
}

function isNaive(value: object): value is NaiveObject {
  return 'entries' in value && Array.isArray(value.entries);
}
