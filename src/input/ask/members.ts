/**
 * Typed reading of members. Null is what Go makes of it: the member's zero value, as if it were not there. Where Go would
 * refuse a type so is it here, because the input must not say something that Ollama never agreed to.
 */
import { RequestError } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function stringOf(object: JsonObject, name: string): string {
  const value = object[name] ?? '';
  return typeof value === 'string' ? value : refuse(name, 'a string');
}

export function flagOf(object: JsonObject, name: string, byDefault = false): boolean {
  const value = object[name] ?? byDefault;
  return typeof value === 'boolean' ? value : refuse(name, 'a boolean');
}

export function numberOf(object: JsonObject, name: string): number | undefined {
  const value = object[name] ?? undefined;
  return value === undefined || typeof value === 'number' ? value : refuse(name, 'a number');
}

export function objectOf(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name] ?? undefined;
  return value === undefined || isObject(value) ? value : refuse(name, 'an object');
}

export function listOf(object: JsonObject, name: string): readonly unknown[] {
  const value = object[name] ?? [];
  return Array.isArray(value) ? value : refuse(name, 'an array');
}

/** A list whose elements are objects all. */
export function objectsOf(object: JsonObject, name: string): readonly JsonObject[] {
  const list = listOf(object, name);
  return list.every(isObject) ? list : refuse(name, 'an array of objects');
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param name one of the names in our readers, never one of the caller's */
export function refuse(name: string, wanted: string): never {
  throw new RequestError('invalid_member', `The member "${name}" must be ${wanted}.`);
}
