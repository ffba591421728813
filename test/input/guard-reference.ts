/** A slow guard that is right by being plain: it reads every byte with the naive reader and lists every fault it sees. */
import type { ErrorCode } from '../../src/errors.ts';
import { readNaively, toNaive } from './naive-json.ts';

export interface Reference {
  /** What the body may be refused with; empty where it must pass. */
  readonly faults: ReadonlySet<ErrorCode>;
  /** In the naive reader's form. */
  readonly value: unknown;
}

/** For bodies that begin with a brace and are not over the bounds of depth and weight, where no key is a known one. */
export function judgeSlowly(bytes: Buffer): Reference {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { faults: new Set(['invalid_utf8']), value: undefined };
  }
  const faults = new Set<ErrorCode>();
  try {
    const { value, duplicate } = readNaively(text);
    if (duplicate) faults.add('duplicate_member');
    const plain = toNaive(value);
    if (holdsHalfPair(plain)) faults.add('lone_surrogate');
    return { faults, value: plain };
  } catch {
    // The guard counts brackets before it looks at what they hold, so what is no JSON may also be called too much of it.
    return { faults: new Set(['invalid_json', 'trailing_data', 'not_an_object', 'too_deep']), value: undefined };
  }
}

function holdsHalfPair(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (Array.isArray(value)) return value.some(holdsHalfPair);
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsHalfPair);
}
