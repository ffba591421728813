import type { z } from 'zod';
import { memberAt, nearest, pathsNamed } from './members.ts';
import { quote } from './units.ts';

export type Path = readonly (string | number)[];

/** Where a value comes from: a place in the file, a variable, a flag. */
export interface Place {
  readonly kind: 'file' | 'variable' | 'flag' | 'none';
  /** `opallama.yaml:3:5`, `OPALLAMA_LISTEN__DATA`, `--policy`. */
  readonly label: string;
  /** Orders faults: by line and column in the file; everything else after it. */
  readonly order: number;
}

export interface Fault {
  readonly place: Place;
  /** The member; empty where the fault is about no member. */
  readonly path: Path;
  readonly text: string;
}

/** `identity.jwt[0].issuer` */
export function spell(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const word = /^[\w-]{1,64}$/.test(part) ? part : quote(part);
    return text === '' ? word : `${text}.${word}`;
  }, '');
}

/** One line a fault, each once, in the order in which a reader of the file meets them. */
export function formatFaults(faults: readonly Fault[]): string[] {
  const lines = faults
    .toSorted((a, b) => a.place.order - b.place.order)
    .map(({ place, path, text }) => [place.label, spell(path), text].filter((part) => part !== '').join(': '));
  return [...new Set(lines)];
}

/** Slips that a list of near names doesn't explain. The value is never shown: it may be a secret. */
const advice: ReadonlyMap<string, string> = new Map([
  ['secret', 'a secret never stands in the configuration; name its variable in secret_env or its file in secret_file'],
  ['public_key', 'name the file of the public key in public_key_file'],
  ['private_key', 'a private key has no place here; tokens are only verified. Name the public key in public_key_file'],
  [
    'private_key_file',
    'a private key has no place here; tokens are only verified. Name the public key in public_key_file',
  ],
  ['algorithms', 'one algorithm a key: write algorithm, and an entry for each key'],
]);

/** Says that a member is unknown, and which one may be meant. `path` ends with its name. */
export function describeUnknown(path: Path): string {
  const name = String(path.at(-1));
  const parent = path.slice(0, -1);
  const known = Object.keys(memberAt(parent)?.properties ?? {});
  const hint = advice.get(name);
  if (hint !== undefined && !known.includes(name) && parent[0] === 'identity') return hint;
  const near = nearest(name, known);
  if (near !== undefined) return `unknown member; did you mean ${spell([...parent, near])}?`;
  const elsewhere = pathsNamed(name).map(spell);
  if (elsewhere.length > 0) return `unknown member here; did you mean ${elsewhere.slice(0, 3).join(' or ')}?`;
  return `unknown member; known ${parent.length === 0 ? 'at the top' : `in ${spell(parent)}`}: ${known.join(', ')}`;
}

/** What zod found at a path, where `value` stands, as members and sentences. */
export function describeIssue(
  issue: z.core.$ZodIssue,
  path: Path,
  value: unknown,
): Array<Pick<Fault, 'path' | 'text'>> {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], text: describeUnknown([...path, key]) }));
  }
  return [{ path, text: describeValue(issue, value) }];
}

const kinds: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map of members',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  string: 'text (put it in quotes if it looks like a number)',
};

function describeValue(issue: z.core.$ZodIssue, value: unknown): string {
  // A sentence of the schema's own; it may stand at a member that is not written.
  if (issue.code === 'custom') return issue.message;
  if (value === null) return 'is empty; give it a value or remove it';
  if (value === undefined) return 'is missing';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${kinds[issue.expected] ?? issue.expected}`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      const near = nearest(
        String(value).toLowerCase(),
        values.map((entry) => entry.toLowerCase()),
      );
      const meant = values.find((entry) => entry.toLowerCase() === near);
      return `must be ${list(values)}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
    }
    case 'too_small':
      return issue.origin === 'number' ? `must be at least ${issue.minimum}` : 'must not be empty';
    case 'too_big':
      return issue.origin === 'number'
        ? `must be at most ${issue.maximum}`
        : `must have at most ${issue.maximum} items`;
    default:
      return issue.message;
  }
}

function list(values: readonly string[]): string {
  return values.length === 1 ? `${values[0]}` : `one of ${values.join(', ')}`;
}
