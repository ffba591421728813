import assert from 'node:assert/strict';
import { type ErrorCode, RequestError } from '../../src/errors.ts';

/** Asserts that `work` refuses with this code and no other error. */
export function assertRefused(work: () => unknown, code: ErrorCode, label?: string): RequestError {
  let refusal: unknown;
  try {
    work();
  } catch (error) {
    refusal = error;
  }
  assert.ok(
    refusal instanceof RequestError,
    `${label ?? code}: ${refusal === undefined ? 'let pass' : String(refusal)}`,
  );
  assert.equal(refusal.code, code, label ?? code);
  return refusal;
}

/** The code that `work` refuses with; undefined where it lets pass. Any other error goes on. */
export function codeOf(work: () => unknown): ErrorCode | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof RequestError) return error.code;
    throw error;
  }
}
