/** Reads a principal from verified claims. Defaults: design section 12, "Claims by default". */
import type { JwtConfig, Principal } from '../types.ts';

type Claims = Readonly<Record<string, unknown>>;

/**
 * @param paths where the configuration finds them; dots between names, as in `realm_access.roles`
 * @returns the principal, or a text that says which claim can't be used: a claim of the wrong type is never passed over,
 *   because a role that is silently lost may be the one that a rule denies
 */
export function readPrincipal(claims: Claims, paths: JwtConfig['claims']): Principal | string {
  const id = find(claims, paths.id ?? 'sub');
  if (typeof id !== 'string' || id === '') return 'the token names no subject';

  const role = find(claims, 'role');
  const roles = readList(paths.roles === undefined ? firstOf(find(claims, 'roles'), role) : find(claims, paths.roles));
  if (roles === undefined) return 'the roles in the token are not a list of strings';

  const permissions = readList(
    paths.permissions === undefined
      ? firstOf(find(claims, 'permissions'), splitScope(find(claims, 'scope')))
      : find(claims, paths.permissions),
  );
  if (permissions === undefined) return 'the permissions in the token are not a list of strings';

  const agentRole =
    paths.agent_role === undefined ? firstOf(find(claims, 'agent_role'), role) : find(claims, paths.agent_role);
  if (agentRole !== undefined && typeof agentRole !== 'string') return 'the agent role in the token is not a string';

  const tenant = find(claims, paths.tenant ?? 'tenant');
  if (tenant !== undefined && typeof tenant !== 'string') return 'the tenant in the token is not a string';

  return { id, kind: 'jwt', roles, agentRole, permissions, tenant, claims };
}

function find(claims: Claims, path: string): unknown {
  let value: unknown = claims;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

/** The second stands in for a claim that is not there, never for one that is null: that is a claim of the wrong type. */
function firstOf(claim: unknown, otherwise: unknown): unknown {
  return claim === undefined ? otherwise : claim;
}

function readList(value: unknown): readonly string[] | undefined {
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  return Array.isArray(value) && value.every((element) => typeof element === 'string') ? value : undefined;
}

/** RFC 6749 section 3.3: a list with spaces. */
function splitScope(scope: unknown): unknown {
  return typeof scope === 'string' ? scope.split(' ').filter((part) => part !== '') : scope;
}
