import type { Struct } from './known-members.ts';

/** A body that every reader reads alike. */
export interface GuardedJson {
  readonly bytes: Buffer;
  readonly value: Readonly<Record<string, unknown>>;
  /** Offset of the object's opening brace. */
  readonly start: number;
  /** Offset behind its closing brace. */
  readonly end: number;
}

/** @throws RequestError with the guard's codes */
export function guardJson(_bytes: Buffer, _known: Struct): GuardedJson {
  throw new Error('not yet');
}
