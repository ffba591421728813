/**
 * Reads the text of a value that compiled policy gives (opa_value_dump): JSON, with sets as `{1, 2}` and `set()`, and any
 * value as the key of an object.
 *
 * What comes out is what OPA itself says as JSON: sets are lists in OPA's order of values, so that a result does not depend
 * on how a set lies in memory, and keys that are no strings are their JSON. Integers that a JavaScript number can't hold
 * keep their digits (`exact-json.ts`).
 */
import { exactNumber } from '../../../exact-json.ts';

export function readValue(text: string): unknown {
  const reader = new Reader(text);
  return reader.value();
}

class Reader {
  readonly #text: string;
  /** Lists that are sets: the two sort apart. */
  readonly #sets = new Set<unknown>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): unknown {
    const code = this.#next();
    if (code === quote) return this.#string();
    if (code === openBrace) return this.#objectOrSet();
    if (code === openBracket) return this.#list();
    if (isNumeric(code)) return this.#number();
    if (this.#word('true')) return true;
    if (this.#word('false')) return false;
    if (this.#word('null')) return null;
    if (this.#word('set()')) return this.#set([]);
    throw new SyntaxError(`The policy runtime gave no value at ${this.#at}.`);
  }

  /** The next character that is no space, not passed yet. */
  #next(): number {
    while (this.#text.charCodeAt(this.#at) === space) this.#at += 1;
    return this.#text.charCodeAt(this.#at);
  }

  #take(code: number): boolean {
    if (this.#next() !== code) return false;
    this.#at += 1;
    return true;
  }

  #expect(code: number): void {
    if (!this.#take(code)) throw new SyntaxError(`The policy runtime gave no value at ${this.#at}.`);
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #string(): string {
    const from = this.#at;
    let end = this.#text.indexOf('"', from + 1);
    // A quote ends the string unless an odd number of backslashes stands before it.
    while (end !== -1 && this.#isEscaped(end, from)) end = this.#text.indexOf('"', end + 1);
    if (end === -1) throw new SyntaxError(`The policy runtime gave a string without an end at ${from}.`);
    this.#at = end + 1;
    const inner = this.#text.slice(from + 1, end);
    return inner.includes('\\') ? String(JSON.parse(`"${inner}"`)) : inner;
  }

  #isEscaped(at: number, from: number): boolean {
    let before = at - 1;
    while (before > from && this.#text.charCodeAt(before) === backslash) before -= 1;
    return (at - before) % 2 === 0;
  }

  #number(): unknown {
    const from = this.#at;
    do this.#at += 1;
    while (isNumeric(this.#text.charCodeAt(this.#at)));
    const text = this.#text.slice(from, this.#at);
    const number = Number(text);
    // Beyond every JavaScript number, but a number to whoever reads the text.
    return Number.isFinite(number) ? exactNumber(number, text) : JSON.rawJSON(text);
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    this.#at += 1;
    if (this.#take(closeBracket)) return list;
    do list.push(this.value());
    while (this.#take(comma));
    this.#expect(closeBracket);
    return list;
  }

  #objectOrSet(): unknown {
    this.#at += 1;
    if (this.#take(closeBrace)) return {};
    const first = this.value();
    if (!this.#take(colon)) return this.#elements(first);
    const object: Record<string, unknown> = {};
    this.#member(object, first);
    while (this.#take(comma)) {
      const key = this.value();
      this.#expect(colon);
      this.#member(object, key);
    }
    this.#expect(closeBrace);
    return object;
  }

  #member(object: Record<string, unknown>, key: unknown): void {
    const name = typeof key === 'string' ? key : JSON.stringify(key);
    const value = this.value();
    if (name !== '__proto__') object[name] = value;
    else Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  }

  #elements(first: unknown): unknown[] {
    const elements = [first];
    while (this.#take(comma)) elements.push(this.value());
    this.#expect(closeBrace);
    return this.#set(elements);
  }

  #set(elements: unknown[]): unknown[] {
    if (elements.length > 1) elements.sort((a, b) => this.#compare(a, b));
    this.#sets.add(elements);
    return elements;
  }

  /** OPA's order of values (v1/ast/compare.go): by type, then by value. */
  #compare(a: unknown, b: unknown): number {
    const rank = this.#rank(a);
    const byType = rank - this.#rank(b);
    if (byType !== 0) return byType;
    if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b);
    if (rank === ranks.boolean) return Number(a) - Number(b);
    if (rank === ranks.number) return compareNumbers(a, b);
    if (Array.isArray(a) && Array.isArray(b)) return this.#compareLists(a, b);
    if (isRecord(a) && isRecord(b)) return this.#compareLists(flatten(a), flatten(b));
    return 0;
  }

  #compareLists(a: readonly unknown[], b: readonly unknown[]): number {
    for (let i = 0; i < a.length && i < b.length; i += 1) {
      const order = this.#compare(a[i], b[i]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }

  #rank(value: unknown): number {
    if (value === null) return ranks.null;
    if (typeof value === 'boolean') return ranks.boolean;
    if (typeof value === 'number' || JSON.isRawJSON(value)) return ranks.number;
    if (typeof value === 'string') return ranks.string;
    if (!Array.isArray(value)) return ranks.object;
    return this.#sets.has(value) ? ranks.set : ranks.array;
  }
}

const ranks = { null: 0, boolean: 1, number: 2, string: 3, array: 4, object: 5, set: 6 } as const;

const space = 0x20;
const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function isNumeric(code: number): boolean {
  // Digits, "+", "-", ".", "E", "e".
  return (
    (code >= zero && code <= nine) || code === 0x2e || code === minus || code === 0x2b || code === 0x45 || code === 0x65
  );
}

/** By code points, as the bytes of UTF-8 sort; JavaScript sorts by UTF-16 units. */
function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const ordinary = a < b ? -1 : 1;
  return /[\ud800-\uffff]/.test(a) && /[\ud800-\uffff]/.test(b) ? Buffer.from(a).compare(Buffer.from(b)) : ordinary;
}

function compareNumbers(a: unknown, b: unknown): number {
  const [first, second] = [JSON.stringify(a), JSON.stringify(b)];
  const difference = Number(first) - Number(second);
  if (difference !== 0 && !Number.isNaN(difference)) return difference;
  if (!/^-?\d+$/.test(first) || !/^-?\d+$/.test(second)) return 0;
  const exact = BigInt(first) - BigInt(second);
  if (exact === 0n) return 0;
  return exact < 0n ? -1 : 1;
}

/** Key, value, key, value ... in the order of the keys. */
function flatten(object: Readonly<Record<string, unknown>>): readonly unknown[] {
  return Object.entries(object)
    .sort(([a], [b]) => compareStrings(a, b))
    .flat();
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
