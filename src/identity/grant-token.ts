/** The client credentials grant (RFC 6749 section 4.4), without its HTTP: from what was asked to a token. */
import type { KeyObject } from 'node:crypto';
import type { TokenClients, TokenEndpointConfig } from '../configured/identity.ts';
import { RequestError } from '../errors.ts';
import type { Principal } from '../types.ts';
import { authenticateClient } from './clients.ts';
import { issueToken } from './issue-token.ts';
import { createRates, sourceOf } from './rates.ts';

export interface TokenRequest {
  readonly grantType: string | undefined;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Words between spaces (RFC 6749 section 3.3). */
  readonly scope: string | undefined;
}

export interface GrantedToken {
  /** The client, as its token says it. */
  readonly principal: Principal;
  readonly token: string;
  readonly expiresS: number;
}

export interface TokenGrant {
  /**
   * Counts a request before anything of it is read.
   *
   * @throws RequestError `too_many_token_requests`
   */
  admit(address: string): void;
  /** @throws RequestError `invalid_client`, `unsupported_grant_type`, `invalid_scope`, `too_many_token_requests` */
  grant(asked: TokenRequest): GrantedToken;
}

/** Of source addresses, some 100 bytes each. */
const mostSources = 10_000;

export function createTokenGrant(
  config: TokenEndpointConfig,
  clients: () => TokenClients,
  onRefused: (clientId: string) => void = () => {},
  signingKey: () => KeyObject = () => config.signingKey,
): TokenGrant {
  const sources = createRates(config.perSource, mostSources);
  // Counted once the secret was right: whoever only knows an id must not be able to use up its allowance.
  const known = createRates(config.perClient, mostSources);

  return {
    admit: (address) => refuseIfOver(sources.take(sourceOf(address))),
    grant({ grantType, clientId, clientSecret, scope }) {
      const client = authenticateClient(clients(), clientId, clientSecret);
      if (client === undefined) {
        if (clients().has(clientId)) onRefused(clientId);
        throw new RequestError('invalid_client', undefined, { headers: clientChallenge });
      }
      refuseIfOver(known.take(client.id));
      if (grantType !== 'client_credentials') throw new RequestError('unsupported_grant_type');
      const permissions = scope === undefined ? client.permissions : choose(client.permissions, scope);
      const token = issueToken({ ...config, signingKey: signingKey() }, client, permissions);
      return { principal: { ...client, permissions, kind: 'jwt', claims: {} }, token, expiresS: config.expiresS };
    },
  };
}

/** RFC 6749 section 5.2: the scheme that a client authenticates with. */
export const clientChallenge = { 'www-authenticate': 'Basic realm="opallama", charset="UTF-8"' };

/** A client may ask for less than it may have, for a task that needs no more. */
function choose(permissions: readonly string[], scope: string): readonly string[] {
  const wanted = [...new Set(scope.split(' ').filter((word) => word !== ''))];
  if (wanted.length === 0 || !wanted.every((word) => permissions.includes(word)))
    throw new RequestError('invalid_scope');
  return wanted;
}

function refuseIfOver(waitMs: number): void {
  if (waitMs > 0)
    throw new RequestError('too_many_token_requests', undefined, {
      headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) },
    });
}
