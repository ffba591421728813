/**
 * Obligations of several policies that all allow (design: engines compose): limits and redactions unite, routes intersect,
 * everything else must be the same wherever it stands.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Decision } from '../types.ts';
import { Conflict } from './conflict.ts';

type Obligations = Decision['obligations'];

/** One after the other: `known` is what the policies before asked for. */
type Composer = (known: unknown, added: unknown, name: string) => unknown;

const composers: Readonly<Record<string, Composer>> = {
  limits: uniteLists,
  redact_request: uniteLists,
  redact_response: uniteLists,
  route: intersectRoutes,
};

/** @throws Conflict */
export function composeObligations(all: readonly Obligations[]): Obligations {
  const composed = new Map<string, unknown>();
  for (const obligations of all) {
    for (const [name, added] of Object.entries(obligations)) {
      const composer = Object.hasOwn(composers, name) ? composers[name] : undefined;
      composed.set(name, composed.has(name) ? (composer ?? agree)(composed.get(name), added, name) : added);
    }
  }
  return Object.fromEntries(composed);
}

function agree(known: unknown, added: unknown, name: string): unknown {
  if (isDeepStrictEqual(known, added)) return known;
  throw new Conflict(`Two policies ask for the obligation "${name}" in different ways.`);
}

/** The same limit asked for twice is one. */
function uniteLists(known: unknown, added: unknown, name: string): unknown {
  if (!Array.isArray(known) || !Array.isArray(added)) return agree(known, added, name);
  const elements: readonly unknown[] = added;
  return [...known, ...elements.filter((element) => !known.some((other) => isDeepStrictEqual(other, element)))];
}

/** Targets that both allow, in the order of the first; how one of them is chosen must be the same. */
function intersectRoutes(known: unknown, added: unknown, name: string): unknown {
  if (!hasTargets(known) || !hasTargets(added)) return agree(known, added, name);
  const targets = known.targets.filter((target) => added.targets.some((other) => isDeepStrictEqual(other, target)));
  if (targets.length === 0) throw new Conflict('The policies allow no target in common.');
  const members = { ...known };
  for (const [member, value] of Object.entries(added)) {
    if (member !== 'targets') members[member] = member in known ? agree(known[member], value, name) : value;
  }
  return { ...members, targets };
}

interface Route extends Record<string, unknown> {
  readonly targets: readonly unknown[];
}

function hasTargets(value: unknown): value is Route {
  return typeof value === 'object' && value !== null && 'targets' in value && Array.isArray(value.targets);
}
