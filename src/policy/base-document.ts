/** Reads one base document, `data.json` or `data.yaml`: strictly, each fault with its place, in a time that grows with its size. */
import { isUtf8 } from 'node:buffer';

import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';

import type { PolicyFault } from '../errors.ts';
import { exactNumber, mayLoseDigits, parseExactJson } from '../exact-json.ts';

type BaseDocument = Readonly<Record<string, unknown>>;

/** Bound against aliases that unfold to more than anyone meant. */
const mostAliases = 100;

/** @returns the object, or why there is none */
export function readBaseDocument(file: string, bytes: Uint8Array): BaseDocument | readonly PolicyFault[] {
  if (!isUtf8(bytes)) return [fault(file, 'the file is not valid UTF-8')];
  const text = Buffer.from(bytes).toString('utf8');
  const read = file.endsWith('.json') ? readJson(file, text) : readYaml(file, text);
  if (!('value' in read)) return read.faults;
  return isRecord(read.value) ? read.value : [fault(file, 'a base document must be an object', { line: 1, col: 1 })];
}

type Read = { readonly value: unknown } | { readonly faults: readonly PolicyFault[] };
export type Place = { readonly line: number; readonly col: number };

/** By `JSON.parse`: a reader of YAML takes comments, single quotes and trailing commas for JSON, and minutes for megabytes. */
function readJson(file: string, text: string): Read {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    return { faults: [fault(file, message.replace(/ in JSON at position .*/s, ''), placeOf(message, text))] };
  }
  if (countMembers(value) !== countColons(text)) return { faults: findDuplicates(file, parse(text, 'json')) };
  if (!mayLoseDigits(text)) return { value };
  try {
    return { value: parseExactJson(text) };
  } catch (error) {
    return { faults: [fault(file, error instanceof Error ? error.message : 'the file cannot be read')] };
  }
}

/** Reading for places takes minutes for megabytes. */
const mostBytesToSearch = 1 << 20;

/** @returns where a member of a document that was read is written, if that can be told in little time */
export function placeOfKey(file: string, bytes: Uint8Array, path: readonly string[]): Place | undefined {
  if (bytes.length > mostBytesToSearch) return undefined;
  const { document, lines } = parse(Buffer.from(bytes).toString('utf8'), file.endsWith('.json') ? 'json' : 'core');
  const holder = document.getIn(path.slice(0, -1), true);
  if (!isMap(holder)) return undefined;
  const pair = holder.items.find(({ key }) => isScalar(key) && String(key.value) === path.at(-1));
  return isScalar(pair?.key) && pair.key.range ? lines.linePos(pair.key.range[0]) : undefined;
}

/** V8 names the place in most of its messages; where it doesn't, a token is wrong, which YAML's reader finds as well. */
function placeOf(message: string, text: string): Place | undefined {
  const [, line, col] = /\(line (\d+) column (\d+)\)/.exec(message) ?? [];
  if (line !== undefined && col !== undefined) return { line: Number(line), col: Number(col) };
  return parse(text, 'json').document.errors[0]?.linePos?.[0];
}

/** YAML 1.2's core schema: no dates, no booleans called "yes". */
function readYaml(file: string, text: string): Read {
  const parsed = parse(text, 'core');
  const { document } = parsed;
  const faults = document.errors.map((error) =>
    fault(
      file,
      error.message.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:$/, '') ?? error.code,
      error.linePos?.[0],
    ),
  );
  if (faults.length > 0) return { faults };
  const duplicates = findDuplicates(file, parsed);
  if (duplicates.length > 0) return { faults: duplicates };
  try {
    return { value: toJson(document.toJS({ maxAliasCount: mostAliases })) };
  } catch (error) {
    return { faults: [fault(file, error instanceof Error ? error.message : 'the file cannot be read')] };
  }
}

/** Integers come as bigint. What JSON has no number for is refused: it would reach the policy as null. */
function toJson(value: unknown): unknown {
  if (typeof value === 'bigint') return exactNumber(Number(value), String(value));
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${value} is no number that JSON has`);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toJson);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJson(member)]));
}

interface Parsed {
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
}

function parse(text: string, schema: 'json' | 'core'): Parsed {
  const lines = new LineCounter();
  // Its own check for duplicate keys compares each with each: 15 s for 45,000 of them.
  const document = parseDocument(text, {
    schema,
    strict: true,
    uniqueKeys: false,
    intAsBigInt: true,
    prettyErrors: true,
    lineCounter: lines,
  });
  return { document, lines };
}

function findDuplicates(file: string, { document, lines }: Parsed): PolicyFault[] {
  const faults: PolicyFault[] = [];
  visit(document, {
    Map(_key, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          const place = key.range ? lines.linePos(key.range[0]) : undefined;
          faults.push(fault(file, `the key ${JSON.stringify(name)} stands twice`, place));
        }
        seen.add(name);
      }
    },
  });
  return faults;
}

/** Each member of a JSON text has one colon outside of strings. */
function countColons(text: string): number {
  let colons = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === 0x3a) colons += 1;
    if (character !== 0x22) continue;
    for (at += 1; text.charCodeAt(at) !== 0x22; at += 1) if (text.charCodeAt(at) === 0x5c) at += 1;
  }
  return colons;
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const values: readonly unknown[] = Object.values(value);
  let members = Array.isArray(value) ? 0 : values.length;
  for (const element of values) members += countMembers(element);
  return members;
}

function fault(file: string, message: string, at?: Place): PolicyFault {
  return { code: 'invalid_data', message, file, row: at?.line, column: at?.col };
}

function isRecord(value: unknown): value is BaseDocument {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
