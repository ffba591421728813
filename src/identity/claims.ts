/** Reads a principal from verified claims. Defaults: design section 12, "Claims by default". */
import type { ClaimPath, ClaimPaths } from '../configured/identity.ts';
import { inOnePiece } from '../one-piece.ts';
import type { Principal } from '../types.ts';

type Claims = Readonly<Record<string, unknown>>;

/**
 * @param paths where the configuration finds them; dots between names, as in `realm_access.roles`, or a list of names
 * @returns the principal, or a text that says which claim can't be used: a claim of the wrong type is never passed over,
 *   because a role that is silently lost may be the one that a rule denies
 */
export function readPrincipal(claims: Claims, paths: ClaimPaths): Principal | string {
  const id = find(claims, paths.id ?? 'sub');
  if (typeof id !== 'string' || id === '') return 'the token names no subject';

  const role = find(claims, 'role');
  const roles = readList(paths.roles === undefined ? firstOf(find(claims, 'roles'), role) : find(claims, paths.roles));
  if (roles === undefined) return 'the roles in the token are not a list of strings';

  const permissions = readList(
    splitWords(
      paths.permissions === undefined
        ? firstOf(find(claims, 'permissions'), find(claims, 'scope'))
        : find(claims, paths.permissions),
    ),
  );
  if (permissions === undefined) return 'the permissions in the token are not a list of strings';

  const agentRole =
    paths.agent_role === undefined ? firstOf(find(claims, 'agent_role'), role) : find(claims, paths.agent_role);
  if (agentRole !== undefined && typeof agentRole !== 'string') return 'the agent role in the token is not a string';

  const tenant = find(claims, paths.tenant ?? 'tenant');
  if (tenant !== undefined && typeof tenant !== 'string') return 'the tenant in the token is not a string';

  return {
    id,
    kind: 'jwt',
    roles: withoutPrefix(roles, paths.roles_prefix),
    // One of the roles, so it is named as they are.
    agentRole: agentRole === undefined ? undefined : withoutPrefix([agentRole], paths.roles_prefix)[0],
    permissions: withoutPrefix(permissions, paths.permissions_prefix),
    tenant,
    claims,
  };
}

function find(claims: Claims, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of typeof path === 'string' ? path.split('.') : path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

/** An issuer that serves many has names of others beside ours: those are none here. */
function withoutPrefix(names: readonly string[], prefix: string | undefined): readonly string[] {
  if (prefix === undefined) return names;
  return names.flatMap((name) =>
    name.startsWith(prefix) && name.length > prefix.length ? [inOnePiece(name.slice(prefix.length))] : [],
  );
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

/** RFC 6749 section 3.3: a scope is words between spaces, whatever the issuer calls it. */
function splitWords(value: unknown): unknown {
  return typeof value === 'string'
    ? value
        .split(' ')
        .filter((part) => part !== '')
        .map(inOnePiece)
    : value;
}
