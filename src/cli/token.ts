import type { KeyObject } from 'node:crypto';
import type { Command } from 'commander';
import jwt from 'jsonwebtoken';
import type { Environment } from '../config/environment.ts';
import type { JwtConfig } from '../types.ts';

/** What signs: a `JwtConfig` whose key is secret or private. */
export interface TokenKey {
  readonly algorithm: JwtConfig['algorithm'];
  readonly key: KeyObject;
  readonly issuer: string;
  readonly audience: string;
  readonly kid?: string | undefined;
}

export interface TokenClaims {
  readonly subject: string;
  readonly roles: readonly string[];
  readonly agentRole?: string | undefined;
  readonly tenant?: string | undefined;
  readonly permissions?: readonly string[] | undefined;
  readonly expiresInS: number;
}

export interface TokenDeps {
  readonly environment: Environment;
  readonly write: (text: string) => void;
}

/** Signs a token for tests and first steps. */
export function mintToken(key: TokenKey, claims: TokenClaims): string {
  const payload = {
    roles: claims.roles,
    ...(claims.agentRole === undefined ? {} : { agent_role: claims.agentRole }),
    ...(claims.tenant === undefined ? {} : { tenant: claims.tenant }),
    ...(claims.permissions === undefined ? {} : { permissions: claims.permissions }),
  };
  return jwt.sign(payload, key.key, {
    algorithm: key.algorithm,
    subject: claims.subject,
    issuer: key.issuer,
    audience: key.audience,
    expiresIn: claims.expiresInS,
    ...(key.kid === undefined ? {} : { keyid: key.kid }),
  });
}

export function registerToken(program: Command, deps: TokenDeps): void {
  program.command('token').action(() => deps.write(''));
}
