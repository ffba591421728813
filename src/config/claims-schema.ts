/** Where a principal's parts stand among the claims of a token. */
import { z } from 'zod';

import type { ClaimPath } from '../configured/identity.ts';
import { quote, UnitError } from './units.ts';

/** @throws UnitError */
function parseClaimPath(value: string | number | readonly (string | number)[]): ClaimPath {
  const names = typeof value === 'object' ? value.map(String) : String(value).split('.');
  if (names.length === 0 || names.some((part) => part === ''))
    throw new UnitError(`${quote(value)} is not a path; write names with dots between, or a list of names`);
  // Names that every object inherits: packages that handle tokens look members up without asking whose.
  const inherited = names.find((part) => part in Object.prototype);
  if (inherited !== undefined) throw new UnitError(`${quote(inherited)} cannot be the name of a claim`);
  if (typeof value === 'object') return names;
  // Split at its dots, such a name would never be found, and every caller would come without roles.
  if (/:\/\//.test(String(value)))
    throw new UnitError(`the name of a claim that has dots itself stands in a list: ${JSON.stringify([value])}`);
  return String(value);
}

const claimPath = () =>
  z
    .union([z.string(), z.number(), z.array(z.union([z.string(), z.number()])).max(16)], {
      error: 'must be a path of claims such as realm_access.roles, or a list of names',
    })
    .transform((value, context) => {
      try {
        return parseClaimPath(value);
      } catch (error) {
        if (!(error instanceof UnitError)) throw error;
        context.addIssue({ code: 'custom', message: error.message });
        return z.NEVER;
      }
    });

const prefix = (what: string) => z.string().min(1).max(256).exactOptional().describe(what);

export const claims = z
  .strictObject({
    id: claimPath().exactOptional(),
    roles: claimPath().exactOptional(),
    agent_role: claimPath().exactOptional(),
    permissions: claimPath().exactOptional(),
    tenant: claimPath().exactOptional(),
    roles_prefix: prefix('Only roles that begin so count, and without it.'),
    permissions_prefix: prefix('Only permissions that begin so count, and without it.'),
  })
  .default({})
  .describe('Paths of claims: dots between names, or a list of names.');
