/** Cedar's answers as one result such as an entrypoint of Rego gives. */
import { isDeepStrictEqual } from 'node:util';

import type { Statement } from './cedar-annotations.ts';

export interface Answer {
  readonly allowed: boolean;
  /** Of the policies that decided: permits of an allow, forbids of a denial, none where nothing permitted. */
  readonly statements: readonly Statement[];
}

/** @param answers one for each resource; each of them must allow */
export function toResult(answers: readonly Answer[]): Readonly<Record<string, unknown>> {
  const allow = answers.length > 0 && answers.every(({ allowed }) => allowed);
  const statements = answers.filter(({ allowed }) => allowed === allow).flatMap((answer) => answer.statements);
  const members = statements.map((statement) => statement.members).reduce((a, b) => uniteObjects(a, b), {});
  const stated = statements.flatMap(reasonOf);
  return { ...members, allow, ...(stated.length > 0 && { [allow ? 'reasons' : 'deny']: distinct(stated) }) };
}

/** Text without a code is the denial's text for people. */
function reasonOf({ code, message, effect }: Statement): Array<{ readonly code: string; readonly message: string }> {
  if (code !== undefined) return [{ code, message: message ?? code }];
  return message === undefined || effect === 'permit' ? [] : [{ code: 'policy_denied', message }];
}

/**
 * What several policies ask for is asked for together: lists are joined, objects member by member.
 *
 * @throws where two of them want one member to be two things
 */
function unite(name: string, a: unknown, b: unknown): unknown {
  if (a === undefined || isDeepStrictEqual(a, b)) return b;
  if (Array.isArray(a) && Array.isArray(b)) return distinct([...a, ...b]);
  if (isRecord(a) && isRecord(b)) return uniteObjects(a, b);
  // Two denials differ in no more than how they are told.
  if (name === 'http_status' && typeof a === 'number' && typeof b === 'number') return Math.max(a, b);
  throw new Error(`Two policies that decided give ${JSON.stringify(name)} different values.`);
}

function uniteObjects(
  a: Readonly<Record<string, unknown>>,
  b: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const united: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b)) united[name] = unite(name, united[name], value);
  return united;
}

function distinct(list: readonly unknown[]): readonly unknown[] {
  return list.filter((value, index) => list.findIndex((other) => isDeepStrictEqual(other, value)) === index);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
