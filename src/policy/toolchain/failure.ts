import { PolicyError } from '../../errors.ts';

/** The tool chain itself failed: nothing is known of the policy. */
export function failure(code: string, message: string, cause?: unknown): PolicyError {
  const fault = { code, message, file: undefined, row: undefined, column: undefined };
  return new PolicyError('The policy tool chain failed.', [fault], cause === undefined ? undefined : { cause });
}
