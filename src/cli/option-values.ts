/** What options of several commands take. Each throws InvalidArgumentError, which ends the process with code 2. */
import { InvalidArgumentError } from 'commander';

import { parseDuration } from '../config/units.ts';

/** @returns Unix time, ms */
export function readTime(text: string): number {
  const at = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  try {
    return Date.now() - parseDuration(text);
  } catch {
    throw new InvalidArgumentError('Write a time as in 2026-01-31T22:00:00Z, or 24h for the last 24 hours.');
  }
}

export function readNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('Write a whole number from 1.');
  return number;
}
