import { RequestError } from '../errors.ts';
import type { InputNeeds, Principal } from '../types.ts';

/**
 * The one role that a caller acts in: the claim, or the only role, or the first by `precedence` that the caller has. The
 * order of roles in a token decides nothing.
 *
 * @throws RequestError `ambiguous_agent_role` where the policy reads it and nothing says which of several it is
 */
export function resolveAgentRole(
  principal: Principal,
  precedence: readonly string[],
  needs: InputNeeds,
): string | undefined {
  if (principal.agentRole !== undefined) return principal.agentRole;
  const { roles } = principal;
  if (roles.every((role) => role === roles[0])) return roles[0];
  const first = precedence.find((role) => roles.includes(role));
  if (first === undefined && (needs.all || needs.members.has('agent_role'))) {
    throw new RequestError('ambiguous_agent_role');
  }
  return first;
}
