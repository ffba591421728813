import { RequestError } from '../../errors.ts';
import type { Members } from './read-members.ts';

/**
 * The parameters of a query, which may be left out. Where an endpoint has none, what is sent is passed over.
 *
 * @param allowed their names
 * @throws RequestError `invalid_member` for another one, and for one that stands twice
 */
export function readParameters(query: string, allowed: readonly string[]): Members {
  if (allowed.length === 0) return {};
  const parameters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (!allowed.includes(name))
      throw new RequestError(
        'invalid_member',
        `The query has a parameter that is not known here; there is ${allowed.join(', ')}.`,
      );
    if (Object.hasOwn(parameters, name))
      throw new RequestError('invalid_member', `The parameter "${name}" stands twice in the query.`);
    parameters[name] = value;
  }
  return parameters;
}
