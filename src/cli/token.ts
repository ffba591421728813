import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import jwt from 'jsonwebtoken';
import type { Environment } from '../config/environment.ts';
import { errorCode, isSameKey } from '../config/keys.ts';
import { loadConfig } from '../config/load.ts';
import { parseDuration } from '../config/units.ts';
import type { ClaimPath, JwtConfig } from '../configured/identity.ts';
import { ConfigError } from '../errors.ts';

/** What signs: a `JwtConfig` whose key is secret or private. */
export interface TokenKey {
  readonly algorithm: JwtConfig['algorithm'];
  readonly key: KeyObject;
  readonly issuer: string;
  readonly audience: string;
  readonly kid?: string | undefined;
  /** Where the verifier looks for the claims; design section 12 has the defaults. */
  readonly claims?: JwtConfig['claims'];
}

export interface TokenClaims {
  readonly subject: string;
  readonly roles: readonly string[];
  readonly agentRole?: string | undefined;
  readonly tenant?: string | undefined;
  readonly permissions?: readonly string[] | undefined;
  /** Seconds from now. */
  readonly expiresInS: number;
}

export interface TokenDeps {
  readonly environment: Environment;
  /** Standard output: the token and nothing else, so that it can be put into a variable. */
  readonly write: (text: string) => void;
}

interface TokenOptions {
  readonly config?: string;
  readonly subject: string;
  readonly role: readonly string[];
  readonly agentRole?: string;
  readonly tenant?: string;
  readonly permission?: readonly string[];
  readonly expires: number;
  readonly key?: number;
  readonly kid?: string;
  readonly privateKeyFile?: string;
}

/** Signs a token for tests and first steps, with each claim where the key's configuration looks for it. */
export function mintToken(key: TokenKey, claims: TokenClaims): string {
  const payload: Record<string, unknown> = {};
  const prefixed = (prefix = '', name: string): string => prefix + name;
  const { roles_prefix, permissions_prefix } = key.claims ?? {};
  const put = (path: ClaimPath, value: unknown): void => {
    if (value !== undefined) putClaim(payload, typeof path === 'string' ? path.split('.') : path, value);
  };
  put(key.claims?.id ?? 'sub', claims.subject);
  put('sub', claims.subject);
  put(
    key.claims?.roles ?? 'roles',
    claims.roles.map((role) => prefixed(roles_prefix, role)),
  );
  put(key.claims?.agent_role ?? 'agent_role', claims.agentRole && prefixed(roles_prefix, claims.agentRole));
  put(key.claims?.tenant ?? 'tenant', claims.tenant);
  put(
    key.claims?.permissions ?? 'permissions',
    claims.permissions?.map((name) => prefixed(permissions_prefix, name)),
  );
  return jwt.sign(payload, key.key, {
    algorithm: key.algorithm,
    issuer: key.issuer,
    audience: key.audience,
    expiresIn: claims.expiresInS,
    ...(key.kid === undefined ? {} : { keyid: key.kid }),
  });
}

/** Own members only: a path may be spelled like something that every object inherits. */
function putClaim(target: Record<string, unknown>, [name = '', ...rest]: readonly string[], value: unknown): void {
  const existing = Object.hasOwn(target, name) ? target[name] : undefined;
  const inner = isRecord(existing) ? existing : {};
  if (rest.length > 0) putClaim(inner, rest, value);
  const written = rest.length > 0 ? inner : value;
  Object.defineProperty(target, name, { value: written, configurable: true, enumerable: true, writable: true });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Adds `opallama token`. Its action throws ConfigError for a configuration or key that can't sign. */
export function registerToken(program: Command, deps: TokenDeps): void {
  program
    .command('token')
    .description('print a token for tests and first steps, signed with a key of the configuration')
    .option('--config <file>', 'the configuration (default: opallama.yaml if it is there)')
    .requiredOption('--subject <id>', 'whom the token names')
    .option('--role <role>', 'a role; may be repeated', collect, [])
    .option('--agent-role <role>', 'the role that policy decides on, where there are several')
    .option('--tenant <tenant>', 'the tenant')
    .option('--permission <permission>', 'a permission; may be repeated', collect)
    .option('--expires <duration>', 'how long it is valid: 30s, 15m, 1h', parseExpiry, 3_600)
    .option('--key <index>', 'which entry of identity.jwt signs, counted from 0', parseIndex)
    .option('--kid <kid>', 'which entry of identity.jwt signs, by its kid')
    .option(
      '--private-key-file <file>',
      'the private key in PEM whose public half is in the configuration (RS, PS, ES)',
    )
    .action((options: TokenOptions) => {
      const { environment } = deps;
      const config = loadConfig({ ...environment, file: options.config, flags: [] });
      const key = chooseKey(config.identity.jwt, options, environment);
      const { subject, role: roles, agentRole, tenant, permission: permissions, expires: expiresInS } = options;
      deps.write(`${mintToken(key, { subject, roles, agentRole, tenant, permissions, expiresInS })}\n`);
    });
}

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function parseExpiry(text: string): number {
  let ms: number;
  try {
    ms = parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : '');
  }
  if (ms < 1_000) throw new InvalidArgumentError('A token is valid for at least one second.');
  return Math.floor(ms / 1_000);
}

function parseIndex(text: string): number {
  if (!/^\d{1,3}$/.test(text))
    throw new InvalidArgumentError('Give the index of an entry of identity.jwt, counted from 0.');
  return Number(text);
}

function chooseKey(entries: readonly JwtConfig[], options: TokenOptions, environment: Environment): TokenKey {
  const named = entries.filter(
    (entry, index) =>
      (options.key === undefined || options.key === index) && (options.kid === undefined || options.kid === entry.kid),
  );
  if (named.length === 0)
    throw refusal(
      entries.length === 0 ? 'identity.jwt has no entry' : 'no entry of identity.jwt is meant by this --key or --kid',
    );
  return options.privateKeyFile === undefined
    ? chooseSecret(named)
    : choosePrivate(named, readPrivateKey(options.privateKeyFile, environment));
}

function chooseSecret(entries: readonly JwtConfig[]): TokenKey {
  const [first, second] = entries.filter((entry) => entry.key.type === 'secret');
  if (first === undefined) {
    throw refusal(
      'the configuration has only public keys, which cannot sign; give the private one by --private-key-file',
    );
  }
  if (second !== undefined) throw refusal('several secrets of identity.jwt could sign; choose one by --key or --kid');
  return first;
}

function readPrivateKey(file: string, { cwd, readFile }: Environment): KeyObject {
  let pem: Buffer;
  try {
    pem = Buffer.from(readFile(resolve(cwd, file)));
  } catch (error) {
    throw refusal(`--private-key-file: cannot be read${errorCode(error)}`);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw refusal('--private-key-file: holds no private key in PEM that can be read without a passphrase');
  }
}

/** Only a key that the sidecar would accept signs: a token that is then refused helps nobody. */
function choosePrivate(entries: readonly JwtConfig[], key: KeyObject): TokenKey {
  const publicHalf = createPublicKey(key);
  const entry = entries.find(({ key: configured }) => isSameKey(configured, publicHalf));
  if (entry === undefined)
    throw refusal('--private-key-file: no entry of identity.jwt has the public half of this key');
  return { ...entry, key };
}

function refusal(fault: string): ConfigError {
  return new ConfigError([fault]);
}
