import { RequestError } from '../../errors.ts';
import type { ModelRef } from '../../types.ts';
import { resolveModelName } from '../model-name.ts';
import type { JsonObject } from './members.ts';

/**
 * @param name the member that names the model
 * @throws RequestError `missing_model`, `invalid_model`
 */
export function readModel(body: JsonObject, name = 'model'): ModelRef {
  const value = body[name];
  if (typeof value !== 'string') throw new RequestError('missing_model');
  return resolveModelName(value);
}
