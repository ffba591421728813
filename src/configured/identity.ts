/** Who callers are, as configured. */
import type { KeyObject } from 'node:crypto';
import type { JwtAlgorithm } from '../jwt-algorithms.ts';
import type { UpstreamTls } from './tls.ts';

export interface JwtConfig {
  readonly algorithm: JwtAlgorithm;
  readonly key: KeyObject;
  /** Looked up by the token's `kid` where set; a token with another `kid` is not for this key. */
  readonly kid: string | undefined;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: ClaimPaths;
  /** Allowed difference of clocks, seconds. */
  readonly clockToleranceS: number;
  /** Where the key came from, for `--print-config`: a variable's name or a file's path, never the key. */
  readonly source?: { readonly member: 'secret_env' | 'secret_file' | 'public_key_file'; readonly value: string };
}

/** An issuer that publishes its keys. */
export interface IssuerConfig {
  /** The only accepted value of `iss`. */
  readonly issuer: string;
  readonly audience: string;
  /** The only ones that its tokens may be signed with, whatever the published keys say. */
  readonly algorithms: readonly JwtConfig['algorithm'][];
  /** Where its keys are; absent: its OpenID configuration says it. */
  readonly jwksUrl: URL | undefined;
  readonly claims: JwtConfig['claims'];
  readonly clockToleranceS: number;
  readonly tls: UpstreamTls | undefined;
  /** Of one question, ms. */
  readonly timeout: number;
  /** Between two questions, ms, where the answer does not say how long it holds; within these bounds where it does. */
  readonly refresh: number;
  readonly refreshMin: number;
  readonly refreshMax: number;
  /** How long keys hold that can't be asked for again, ms. */
  readonly stale: number;
}

/** Names with dots between, or a list of names where one has dots itself. */
export type ClaimPath = string | readonly string[];

/** Where a principal's parts stand among the claims; defaults are `roles`, `permissions` and so on (design section 12). */
export interface ClaimPaths
  extends Readonly<Partial<Record<'id' | 'roles' | 'agent_role' | 'permissions' | 'tenant', ClaimPath>>> {
  /** Only those that begin so count, and without it. */
  readonly roles_prefix?: string;
  readonly permissions_prefix?: string;
}

/** What a caller has that is listed by its name, key or certificate. */
export interface Grants {
  readonly roles: readonly string[];
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  readonly tenant: string | undefined;
}

/** A key of Ollama's own command line, and who has it. */
export interface OllamaKeyConfig extends Grants {
  readonly id: string;
  readonly key: KeyObject;
  /** The same key in OpenSSH's base64, as the caller sends it. */
  readonly publicKey: string;
  /** Allowed difference between the time of a signature and now, either way, ms. */
  readonly clockToleranceMs: number;
}

/** Service accounts of a cluster, and where its keys come from. */
export interface KubernetesConfig {
  /** The only accepted value of `iss`. */
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly JwtConfig['algorithm'][];
  readonly apiServer: URL;
  /** Absolute, and need not be there where there is a `jwksFile`. */
  readonly caFile: string;
  readonly tokenFile: string;
  /** Absolute; a file with the keys in the place of the API server. */
  readonly jwksFile: string | undefined;
  /** Tokens that are valid for longer are refused. */
  readonly maxLifetimeS: number;
  readonly clockToleranceS: number;
  /** The first that fits counts; `*` fits every name. */
  readonly serviceAccounts: readonly ServiceAccountConfig[];
}

export interface ServiceAccountConfig extends Grants {
  readonly namespace: string;
  readonly name: string;
  /** Absent: the namespace. */
  readonly tenant: string | undefined;
}

/** A client of the token endpoint. */
export interface TokenClient extends Grants {
  readonly id: string;
}

/** By id; of each secret its SHA-256. */
export type TokenClients = ReadonlyMap<string, { readonly client: TokenClient; readonly secrets: readonly Buffer[] }>;

/** The token endpoint (RFC 6749 section 4.4): whom it gives tokens, and what it signs them with. */
export interface TokenEndpointConfig {
  /** Absolute. */
  readonly clientsFile: string;
  readonly algorithm: JwtConfig['algorithm'];
  /** Secret or private. */
  readonly signingKey: KeyObject;
  /** What `signingKey` signs is verified with it. */
  readonly verifyingKey: KeyObject;
  /** Where the key came from, for `--print-config`. */
  readonly source: { readonly member: 'secret_env' | 'secret_file' | 'private_key_file'; readonly value: string };
  readonly kid: string;
  readonly issuer: string;
  readonly audience: string;
  readonly expiresS: number;
  /** Tokens for one client in a minute. */
  readonly perClient: number;
  /** Requests from one address in a minute. */
  readonly perSource: number;
}

/** A certificate that callers present, and whose it is. */
export interface ClientCertificateConfig extends Grants {
  /** What of the certificate is compared. */
  readonly match: 'san_uri' | 'san_dns' | 'subject' | 'fingerprint';
  /** Compared whole; a DNS name in lower case, a fingerprint as 64 lower-case hexadecimal digits. */
  readonly value: string;
  readonly id: string;
  /** None: the certificate is no caller, it only carries the tokens of callers. */
  readonly roles: readonly string[];
  /** Whether tokens of other callers count on its connections. */
  readonly carriesTokens: boolean;
}
