import type { RequestType } from '../routes.ts';
import type { Asked } from './asked.ts';

/**
 * Reads what a guarded body asks for as Ollama will read it.
 *
 * @throws RequestError `missing_model`, `invalid_model`, `invalid_member`
 */
export function readAsked(_type: RequestType, _body: Readonly<Record<string, unknown>>): Asked {
  throw new Error('not yet');
}
