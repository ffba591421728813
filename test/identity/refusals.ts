import assert from 'node:assert/strict';
import { RequestError } from '../../src/errors.ts';

/** Fails unless `act` is refused with this code; gives the error back for a closer look. */
export function refusedWith(code: RequestError['code'], act: () => unknown): RequestError {
  let result: unknown;
  try {
    result = act();
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`it was let in: ${JSON.stringify(result)}`);
}
