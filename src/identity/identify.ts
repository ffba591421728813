/**
 * Who calls: authenticators in order. "Not mine" moves on to the next, "rejected" ends it: a credential that is there and
 * wrong never becomes an anonymous caller, unless the configuration says so.
 */

import type { Config } from '../configured/config.ts';
import { RequestError } from '../errors.ts';
import type { Principal } from '../types.ts';
import { challenge } from './challenge.ts';
import type { Certified } from './client-certificate.ts';
import { createConfiguredVerifier, listKeys } from './configured-key.ts';
import { type Credential, readCredential } from './credentials.ts';
import { createJwtAuthenticator } from './jwt.ts';
import { createOllamaKeyAuthenticator } from './ollama-key.ts';
import type { Revocations } from './revocations.ts';
import type { Verifier } from './verifier.ts';

export type Authentication =
  | { readonly principal: Principal }
  | { readonly rejected: string }
  /** Nobody can say at the moment, and the same credential may be good later. */
  | { readonly unavailable: string }
  | 'not mine';

/** What is called, for credentials that hold for one call only. */
export interface Call {
  readonly method: string;
  /** As routes are matched with it, the prefix taken off. */
  readonly path: string;
  /** As it came, with its question mark; empty where there is none. */
  readonly query: string;
}
export type Authenticator = (credential: Credential, call: Call) => Authentication | Promise<Authentication>;

/**
 * @param certified whom the connection's certificate maps to, if anybody
 * @returns a promise only where keys have to be asked for elsewhere
 * @throws RequestError 401 with `WWW-Authenticate` where nobody is known, 503 where that can't be said at the moment
 */
export type Identify = (
  rawHeaders: readonly string[],
  call: Call,
  certified?: Certified,
) => Principal | Promise<Principal>;

/** What changes while the sidecar runs, and is made elsewhere. */
export interface LiveParts {
  /** In the place of those that the configured keys make. */
  readonly verifiers?: readonly Verifier[];
  readonly apiKeys?: Authenticator | undefined;
  readonly revocations?: Revocations | undefined;
}

export function createIdentify(config: Config['identity'], live: LiveParts = {}): Identify {
  const verifiers = live.verifiers ?? listKeys(config).map((key) => createConfiguredVerifier(key));
  // A new kind of credential is one more element here.
  const authenticators: readonly Authenticator[] = [
    ...(live.apiKeys ? [live.apiKeys] : []),
    ...(verifiers.length > 0 ? [createJwtAuthenticator(verifiers, live.revocations)] : []),
    ...(config.ollamaKeys.length > 0 ? [createOllamaKeyAuthenticator(config.ollamaKeys)] : []),
  ];
  const anonymous: Principal | undefined = config.anonymous && {
    id: 'anonymous',
    kind: 'anonymous',
    roles: config.anonymous.roles,
    agentRole: undefined,
    permissions: [],
    tenant: undefined,
    claims: {},
  };

  return function identify(rawHeaders, call, certified) {
    const credential = readCredentialOrRefuse(rawHeaders);
    // Whoever calls without a credential of the request's own.
    const bare = certified?.calls === true ? certified.principal : anonymous;
    if (credential === undefined) {
      if (bare !== undefined) return bare;
      throw new RequestError('missing_credentials', undefined, challenge());
    }
    for (const authenticate of authenticators) {
      const answer = authenticate(credential, call);
      if (answer === 'not mine') continue;
      // Whoever has to ask for keys has seen that the credential is theirs.
      return answer instanceof Promise ? answer.then((late) => conclude(late, certified)) : conclude(answer, certified);
    }
    return conclude('not mine', certified);
  };

  function conclude(answer: Authentication, certified: Certified | undefined): Principal {
    if (answer === 'not mine') return otherwise('this kind of credential is not known', undefined, certified);
    if ('principal' in answer) return agreeing(answer.principal, certified);
    if ('unavailable' in answer)
      throw new RequestError('keys_unavailable', answer.unavailable, { headers: { 'retry-after': '1' } });
    return otherwise(answer.rejected, `The credential was refused: ${answer.rejected}.`, certified);
  }

  /** What becomes of a credential that is there and wrong. */
  function otherwise(description: string, message: string | undefined, certified: Certified | undefined): Principal {
    // On a connection that carries others' tokens it is one of theirs: the carrier must not stand in for them.
    const asIfNone = certified?.calls === true && !certified.carriesTokens ? certified.principal : anonymous;
    if (config.acceptUnknownCredentials && asIfNone !== undefined) return asIfNone;
    throw new RequestError('invalid_credentials', message, challenge(description));
  }
}

/** Two proofs of who calls must name the same caller. */
function agreeing(principal: Principal, certified: Certified | undefined): Principal {
  if (certified === undefined || certified.carriesTokens || certified.principal.id === principal.id) return principal;
  throw new RequestError(
    'conflicting_credentials',
    "The credential is another caller's than the certificate of the connection. Send one of the same caller, or none.",
    challenge("the credential is another caller's than the certificate of the connection"),
  );
}

function readCredentialOrRefuse(rawHeaders: readonly string[]): Credential | undefined {
  try {
    return readCredential(rawHeaders);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    throw new RequestError(error.code, error.message, challenge('two credentials differ'));
  }
}
