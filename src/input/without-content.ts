import type { PolicyInput } from '../types.ts';

/** The input as it may be recorded; `erased` names what was left out. */
export function withoutContent(_input: PolicyInput): Readonly<Record<string, unknown>> {
  throw new Error('not yet');
}
