import { readFileSync } from 'node:fs';

import type { z } from 'zod';

/** A member as the JSON Schema describes it. */
export type Member = z.core.JSONSchema.BaseSchema;

/** Published, seen from `src/` and from `dist/`; a test holds it against `schema.ts`. */
const schemaFile = new URL('../../docs/schemas/config.json', import.meta.url);
let wholeSchema: Member | undefined;

/** The member at a path; undefined if there is none. List items are reached by their index. */
export function memberAt(path: readonly (string | number)[]): Member | undefined {
  let member: Member | undefined = readSchema();
  for (const part of path) {
    if (member === undefined) return undefined;
    const { properties, items }: Member = member;
    if (typeof part === 'number') member = asMember(items);
    else member = properties !== undefined && Object.hasOwn(properties, part) ? asMember(properties[part]) : undefined;
  }
  return member;
}

/** Read once, and only where something asks for a member. */
function readSchema(): Member {
  wholeSchema ??= asMember(JSON.parse(readFileSync(schemaFile, 'utf8'))) ?? {};
  return wholeSchema;
}

function asMember(value: unknown): Member | undefined {
  return isMember(value) ? value : undefined;
}

function isMember(value: unknown): value is Member {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a member takes text, so that a variable's value is it as it stands: `[::1]:80` is no YAML list there. */
export function takesText(member: Member): boolean {
  const type: unknown = member.type;
  return type === 'string' || (Array.isArray(type) && type.includes('string'));
}

/** Every path that is settable, list items as index 0. */
export function allPaths(
  member: Member = readSchema(),
  path: readonly (string | number)[] = [],
): (string | number)[][] {
  const deeper = Object.entries(member.properties ?? {}).flatMap(([name, value]) => {
    const child = asMember(value);
    return child === undefined ? [] : allPaths(child, [...path, name]);
  });
  const item = asMember(member.items);
  const items = item?.properties === undefined ? [] : allPaths(item, [...path, 0]);
  return [...(path.length === 0 ? [] : [[...path]]), ...deeper, ...items];
}

/** Paths whose last part is `name`. */
export function pathsNamed(name: string): (string | number)[][] {
  return allPaths().filter((path) => path.at(-1) === name);
}

/** The candidate that a slip of the pen away from `name`; undefined where none is near enough to be meant. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const short = name.slice(0, 100);
  const far = Math.max(1, Math.floor(short.length / 3));
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(short, candidate) }))
    .filter(({ distance }) => distance <= far)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

/** Levenshtein's distance, two neighbours exchanged counting as one edit. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      current.push(least);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
