/** Input documents as people have them: one in a file, many as lines, or inside the lines of the audit log. */

import { CallError } from '../errors.ts';
import type { PolicyInput } from '../types.ts';

export interface GivenInput {
  /** `file`, or `file:line` */
  readonly place: string;
  readonly input: PolicyInput;
  /** Members of which the record left something out, as the audit log names them. */
  readonly erased: readonly string[];
}

/**
 * @param name of the file, for messages and places
 * @returns the inputs; audit lines of requests that ended before there was one are left out
 * @throws CallError
 */
export function readInputs(name: string, text: string): readonly GivenInput[] {
  const whole = tryParse(text);
  if (whole !== undefined) {
    if (Array.isArray(whole)) return whole.flatMap((each, index) => toInput(`${name}[${index}]`, each));
    return toInput(name, whole);
  }
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = `${name}:${index + 1}`;
    const value = tryParse(line);
    // A log has other lines too, and not all of them are JSON.
    if (value === undefined) {
      if (/\.(?:jsonl|ndjson|log)$/.test(name) && !line.trimStart().startsWith('{')) return [];
      throw new CallError(`${place} is not JSON. Give one document, or one to a line.`);
    }
    // Its request has an audit line as well.
    return isRecord(value) && value['event'] === 'shadow' ? [] : toInput(place, value);
  });
}

function toInput(place: string, value: unknown): readonly GivenInput[] {
  if (!isRecord(value)) throw new CallError(`${place} is no input document: it must be a JSON object.`);
  const isLog = typeof value['level'] === 'number' && value['event'] === undefined;
  if (isLog) return [];
  // No member of an input has this name; each line of a record has.
  const isAudit = typeof value['event'] === 'string';
  const document = isAudit ? value['input'] : value;
  if (isAudit && document === undefined) return [];
  const given = toAuditInput(place, document);
  if (given === undefined) throw new CallError(`${place}: "input" must be a JSON object.`);
  return [given];
}

/** @returns undefined where it is no document */
export function toAuditInput(place: string, document: unknown): GivenInput | undefined {
  if (!isDocument(document)) return undefined;
  const { erased } = Object.assign<{ erased?: unknown }, object>({}, document);
  const names = Array.isArray(erased) ? erased.map(String) : [];
  if (names.length === 0) return { place, input: document, erased: [] };
  const { erased: _erased, ...rest } = Object.assign<{ erased?: unknown }, PolicyInput>({}, document);
  return { place, input: rest, erased: names };
}

/**
 * Taken for an input as it is: what a member holds stays open, as it does for a policy, and one that is missing is missing.
 * Only a clock is not a thing to be without.
 */
function isDocument(value: unknown): value is PolicyInput {
  return isRecord(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
