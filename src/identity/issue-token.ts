/** Tokens of the sidecar's own for clients that proved who they are. */
import { randomUUID } from 'node:crypto';

import jsonwebtoken from 'jsonwebtoken';

import type { TokenClient, TokenEndpointConfig } from '../configured/identity.ts';

/**
 * Signs a token that `createJwtAuthenticator` takes back, with each claim where it is looked for by default.
 *
 * @param permissions those that the client asked for, out of its own
 */
export function issueToken(
  config: Pick<TokenEndpointConfig, 'algorithm' | 'signingKey' | 'kid' | 'issuer' | 'audience' | 'expiresS'>,
  { id, roles, agentRole, tenant }: TokenClient,
  permissions: readonly string[],
): string {
  const claims = {
    // RFC 9068 section 2.2: for a client on its own behalf the subject is the client.
    client_id: id,
    roles,
    permissions,
    ...(agentRole !== undefined && { agent_role: agentRole }),
    ...(tenant !== undefined && { tenant }),
  };
  return jsonwebtoken.sign(claims, config.signingKey, {
    algorithm: config.algorithm,
    keyid: config.kid,
    issuer: config.issuer,
    audience: config.audience,
    subject: id,
    jwtid: randomUUID(),
    expiresIn: config.expiresS,
  });
}
