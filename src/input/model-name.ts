import type { ModelRef } from '../types.ts';

/** @throws RequestError `missing_model`, `invalid_model` */
export function resolveModelName(_raw: string): ModelRef {
  throw new Error('not yet');
}

/** The shortest name of the same model: defaults dropped, lower case. */
export function shortName(_ref: ModelRef): string {
  throw new Error('not yet');
}
