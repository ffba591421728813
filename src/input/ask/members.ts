/**
 * Typed reading of members. Null is what Go makes of it: the member's zero value, as if it were not there. Where Go would
 * refuse a type so is it here, because the input must not say something that Ollama never agreed to.
 *
 * Each takes the value, read by the caller under a constant name: cheaper than a look-up by a name that varies.
 */
import { RequestError } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const nothing: readonly never[] = Object.freeze([]);

/** @param name for the error, as everywhere here */
export function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  return isAbsent(value) ? '' : refuse(name, 'a string');
}

export function flagOf(value: unknown, name: string, byDefault = false): boolean {
  if (typeof value === 'boolean') return value;
  return isAbsent(value) ? byDefault : refuse(name, 'a boolean');
}

export function numberOf(value: unknown, name: string): number | undefined {
  if (typeof value === 'number') return value;
  return isAbsent(value) ? undefined : refuse(name, 'a number');
}

export function objectOf(value: unknown, name: string): JsonObject | undefined {
  if (isObject(value)) return value;
  return isAbsent(value) ? undefined : refuse(name, 'an object');
}

export function listOf(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return isAbsent(value) ? nothing : refuse(name, 'an array');
}

/** A list whose elements are objects all. */
export function objectsOf(value: unknown, name: string): readonly JsonObject[] {
  const list = listOf(value, name);
  return list.every(isObject) ? list : refuse(name, 'an array of objects');
}

/** A list whose elements are text all. Ollama takes a list of numbers for bytes, as Go does: no policy would expect it. */
export function textsOf(value: unknown, name: string): readonly string[] {
  const list = listOf(value, name);
  return list.every((one) => typeof one === 'string') ? list : refuse(name, 'an array of strings');
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Bytes in UTF-8 of a member that is text. */
export function bytesOf(value: unknown, name: string): number {
  if (typeof value === 'string') return value === '' ? 0 : Buffer.byteLength(value);
  return isAbsent(value) ? 0 : refuse(name, 'a string');
}

/** @param name one of the names in our readers, never one of the caller's */
export function refuse(name: string, wanted: string): never {
  throw new RequestError('invalid_member', `The member "${name}" must be ${wanted}.`);
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
