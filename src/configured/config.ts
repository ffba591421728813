/** The whole configuration once it is read. Types only, and each stage takes no more of it than it needs. */

import type { AuditFileConfig } from './audit.ts';
import type {
  ClientCertificateConfig,
  IssuerConfig,
  JwtConfig,
  KubernetesConfig,
  OllamaKeyConfig,
  TokenEndpointConfig,
} from './identity.ts';
import type { ManagementConfig } from './management.ts';
import type { PolicyConfig, ShadowConfig } from './policy.ts';
import type { ShipConfig } from './ship.ts';
import type { ListenTls, UpstreamTls } from './tls.ts';

/** A host and port to bind. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `read`: what changes nothing; `drain`: to drain and nothing else, for what stops a pod. */
export type AdminScope = 'all' | 'read' | 'drain';

/** Who may use the admin listener. */
export interface AdminToken {
  /** Stands in the log for whoever acts with it. */
  readonly name: string;
  /** Of the token itself, which is kept nowhere. */
  readonly sha256: Buffer;
  /** What it is good for. */
  readonly scope: AdminScope;
  /** Where it came from, for `--print-config`. */
  readonly source: { readonly member: 'token_env' | 'token_file'; readonly value: string };
}

/** The whole configuration, checked and converted: durations in ms, sizes in bytes, keys as KeyObjects. */
export interface Config {
  /** Processes that serve requests; absent: this one alone. */
  readonly workers?: number | undefined;
  readonly listen: {
    readonly data: Address;
    readonly ops: Address;
    /** Bound only where `admin.tokens` has any; an address of the loopback. */
    readonly admin: Address;
    /** Names allowed in `Host` beside addresses and `localhost`, where anonymous is configured. */
    readonly hosts: readonly string[];
    /** Absent: the data listener speaks plain HTTP. */
    readonly tls?: ListenTls | undefined;
  };
  readonly upstream: {
    readonly baseUrl: URL;
    /** How the upstream is known and what is presented to it, for https; absent: the authorities that Node trusts. */
    readonly tls?: UpstreamTls | undefined;
    /** Whether the sidecar is ready only while the upstream answers. */
    readonly readiness: 'required' | 'ignored';
    /** Between two looks whether it does, in ms. */
    readonly checkEvery: number;
  };
  /** Origins of web pages that may call, as browsers write them. */
  readonly cors: { readonly origins: readonly string[] };
  /** Without a trailing slash, each beginning with one. */
  readonly prefixes: readonly string[];
  /** Each must allow; at least one. */
  readonly policies: readonly PolicyConfig[];
  readonly shadow?: ShadowConfig | undefined;
  readonly identity: {
    readonly jwt: readonly JwtConfig[];
    readonly issuers: readonly IssuerConfig[];
    /** How long tokens of a key count that is no longer there, ms. */
    readonly removedKeyGrace: number;
    /** Absolute path of the file of API keys. */
    readonly apiKeysFile?: string | undefined;
    /** Absolute path of the list of credentials that count no longer. */
    readonly revocationsFile?: string | undefined;
    readonly ollamaKeys: readonly OllamaKeyConfig[];
    readonly clientCertificates: readonly ClientCertificateConfig[];
    /** Absent: tokens of service accounts are not known. */
    readonly kubernetes?: KubernetesConfig | undefined;
    /** Absent: there is no token endpoint. */
    readonly tokenEndpoint?: TokenEndpointConfig | undefined;
    readonly anonymous: { readonly roles: readonly string[] } | undefined;
    /** Treat a credential that is there and wrong as anonymous, for SDKs that must send some key. */
    readonly acceptUnknownCredentials: boolean;
    /** Orders roles where a principal has several and no `agent_role` claim: the first one it has is its agent role. */
    readonly rolePrecedence: readonly string[];
  };
  readonly timeouts: {
    readonly connect: number;
    readonly firstByte: number;
    readonly idle: number;
    readonly total: number;
    readonly headers: number;
    readonly body: number;
  };
  readonly limits: {
    readonly body: number;
    readonly bodiesTotal: number;
    /** Of one uploaded blob, which is passed on unread. */
    readonly blob: number;
    readonly headers: number;
    readonly inFlight: number;
  };
  readonly audit: {
    readonly stdout: boolean;
    readonly file?: AuditFileConfig | undefined;
    readonly ship?: ShipConfig | undefined;
  };
  readonly admin: {
    /** None: there is no admin listener. */
    readonly tokens: readonly AdminToken[];
    /** Past decisions that can be explained. */
    readonly keepDecisions: number;
  };
  readonly shutdown: {
    /** For which requests are taken after the sidecar was told to stop, in ms. */
    readonly delay: number;
    /** Behind it, for those in flight, in ms. */
    readonly grace: number;
  };
  readonly management?: ManagementConfig | undefined;
  readonly log: { readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent' };
}
