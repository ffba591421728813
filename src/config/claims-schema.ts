/** Where a principal's parts stand among the claims of a token. */
import { z } from 'zod';

import { parsed } from './fields.ts';
import { quote, UnitError } from './units.ts';

/** Names that every object inherits are refused: packages that handle tokens look members up without asking whose. */
function parseClaimPath(value: string | number): string {
  const names = String(value).split('.');
  if (names.some((part) => part === ''))
    throw new UnitError(`${quote(value)} is not a path; write names with dots between`);
  const inherited = names.find((part) => part in Object.prototype);
  if (inherited !== undefined) throw new UnitError(`${quote(inherited)} cannot be the name of a claim`);
  // Split at its dots, such a name would never be found, and every caller would come without roles.
  if (/:\/\//.test(String(value)))
    throw new UnitError('a claim whose own name has dots cannot be named; use another claim');
  return String(value);
}

const claimPath = () => parsed(parseClaimPath, 'a path of claims such as realm_access.roles');

export const claims = z
  .strictObject({
    id: claimPath().exactOptional(),
    roles: claimPath().exactOptional(),
    agent_role: claimPath().exactOptional(),
    permissions: claimPath().exactOptional(),
    tenant: claimPath().exactOptional(),
  })
  .default({})
  .describe('Paths of claims, dots between names.');
