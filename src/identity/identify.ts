/**
 * Who calls: authenticators in order. "Not mine" moves on to the next, "rejected" ends it: a credential that is there and
 * wrong never becomes an anonymous caller, unless the configuration says so.
 */
import { RequestError } from '../errors.ts';
import type { Config, Principal } from '../types.ts';
import { type Credential, readCredential } from './credentials.ts';
import { createJwtAuthenticator } from './jwt.ts';
import { createOllamaKeyAuthenticator } from './ollama-key.ts';

export type Authentication = { readonly principal: Principal } | { readonly rejected: string } | 'not mine';

/** What is called, for credentials that hold for one call only. */
export interface Call {
  readonly method: string;
  /** As routes are matched with it, the prefix taken off. */
  readonly path: string;
  /** As it came, with its question mark; empty where there is none. */
  readonly query: string;
}
export type Authenticator = (credential: Credential, call: Call) => Authentication;

/** @throws RequestError 401 with `WWW-Authenticate` where nobody is known */
export type Identify = (rawHeaders: readonly string[], call: Call) => Principal;

export function createIdentify(config: Config['identity']): Identify {
  // A new kind of credential is one more element here.
  const authenticators: readonly Authenticator[] = [
    ...(config.jwt.length > 0 ? [createJwtAuthenticator(config.jwt)] : []),
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

  return function identify(rawHeaders, call) {
    const credential = readCredentialOrRefuse(rawHeaders);
    if (credential === undefined) {
      if (anonymous !== undefined) return anonymous;
      throw new RequestError('missing_credentials', undefined, challenge());
    }
    for (const authenticate of authenticators) {
      const answer = authenticate(credential, call);
      if (answer === 'not mine') continue;
      if ('principal' in answer) return answer.principal;
      if (anonymous !== undefined && config.acceptUnknownCredentials) return anonymous;
      throw new RequestError(
        'invalid_credentials',
        `The credential was refused: ${answer.rejected}.`,
        challenge(answer.rejected),
      );
    }
    if (anonymous !== undefined && config.acceptUnknownCredentials) return anonymous;
    throw new RequestError('invalid_credentials', undefined, challenge('this kind of credential is not known'));
  };
}

function readCredentialOrRefuse(rawHeaders: readonly string[]): Credential | undefined {
  try {
    return readCredential(rawHeaders);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    throw new RequestError(error.code, error.message, challenge('two credentials differ'));
  }
}

/** RFC 6750 section 3: no error code where no credential was sent. */
function challenge(description?: string): { headers: Readonly<Record<string, string>> } {
  const realm = 'Bearer realm="opallama"';
  return {
    headers: {
      'www-authenticate':
        description === undefined
          ? realm
          : `${realm}, error="invalid_token", error_description="${description.replaceAll('"', "'")}"`,
    },
  };
}
