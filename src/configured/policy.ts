/** Where policies come from and what evaluates them, as configured. */
import type { KeyObject } from 'node:crypto';
import type { JwtConfig } from './identity.ts';
import type { UpstreamTls } from './tls.ts';

/** By whom bundles must be signed, as OPA signs them. */
export interface SignatureConfig {
  readonly algorithm: JwtConfig['algorithm'];
  readonly key: KeyObject;
  /** Where the key came from, for `--print-config`. */
  readonly source?: JwtConfig['source'];
  /** A signature that names another key is refused. */
  readonly keyId: string | undefined;
  readonly scope: string | undefined;
  /** Files of the bundle that need not be signed. */
  readonly excludeFiles: readonly string[];
  /** Whether changes of a signed bundle's data count that nobody signed. */
  readonly allowUnsignedDeltas?: boolean;
}

/** A bundle on a server, as OPA's bundle API has it. */
export interface BundleConfig {
  /** `bundle:<name>` while nobody has said where the bundle of this name is. */
  readonly url: URL;
  /** By which a service has it; absent where `policy.path` is its URL. */
  readonly name?: string | undefined;
  /** Sent as a bearer token. */
  readonly token: string | undefined;
  /** Where it came from, for `--print-config` and for reading it again. */
  readonly tokenSource: OpaConfig['tokenSource'];
  readonly tls: UpstreamTls | undefined;
  /** Between two questions, ms. */
  readonly poll: number;
  /** How long the server may hold its answer back, ms; 0 for not at all. */
  readonly longPoll: number;
  /** For one download, ms. */
  readonly timeout: number;
  /** Of one download, bytes. */
  readonly size: number;
}

/** One policy: where it comes from, the engine that evaluates it and what that engine is told. */
export interface PolicyConfig {
  /** Tells it from the others that must allow as well; `policy` for the only one. */
  readonly name: string;
  /** Absolute; a directory, a bundle, or for engines that need `files` one file. */
  readonly path: string;
  /** A name of `decision/engines/table.ts`. */
  readonly engine: string;
  readonly entrypoint: string;
  /** `deny_list`: the entrypoint is a deny-list although that cannot be seen. Design: decision. */
  readonly mode: 'auto' | 'deny_list';
  /** Management operations and cloud models that a deny-list may allow. */
  readonly denyListOperations: readonly string[];
  /** Where it is evaluated: in the thread of the sidecar, in threads of its own, or by what is known of it. */
  readonly isolation: 'auto' | 'inline' | 'worker';
  /** For one evaluation in a thread of its own, ms; the sidecar's thread can't be interrupted. */
  readonly deadline: number;
  /** Of one thread's JavaScript heap and of one WebAssembly memory each, bytes. */
  readonly memory: number;
  /** Threads of a policy that has threads of its own. */
  readonly workers: number;
  /** Whether Rego must fit the schema of the input: `strict` to be loaded, `warn` (or absent) for `check` to say nothing. */
  readonly schema?: 'strict' | 'warn' | 'off' | undefined;
  /** Where the last good policy is kept, absolute; absent: a restart needs its source. */
  readonly stateDir?: string | undefined;
  /** Revisions that stay loaded, the one that decides among them. */
  readonly keepRevisions: number;
  /** The share of the callers that a new revision gets at first; absent: all. */
  readonly rollout?: { readonly percent: number } | undefined;
  /** Where `path` is brought from; absent: it is brought there by others. */
  readonly bundle?: BundleConfig | undefined;
  /** Absent: bundles need no signature. */
  readonly signature?: SignatureConfig | undefined;
  /** For the engine `opa`. */
  readonly opa?: OpaConfig | undefined;
}

/** A policy that is asked beside those that decide, and never listened to. */
export interface ShadowConfig extends PolicyConfig {
  /** Part of the requests that it is asked about, 0 to 1. */
  readonly sample: number;
}

/** A remote OPA and how it is asked. */
export interface OpaConfig {
  /** With a path prefix where there is one; `http://localhost` where `socket` is set. */
  readonly url: URL;
  /** A Unix socket, absolute. */
  readonly socket: string | undefined;
  /** Sent as a bearer token. */
  readonly token: string | undefined;
  /** Where the token came from, for `--print-config`. */
  readonly tokenSource: { readonly member: 'token_env' | 'token_file'; readonly value: string } | undefined;
  readonly tls: UpstreamTls | undefined;
  /** Until the decision is there, ms. */
  readonly timeout: number;
  readonly circuitBreaker: {
    /** In a row, after which OPA is not asked any more. */
    readonly failures: number;
    /** Between two looks whether it is back, ms. */
    readonly reset: number;
  };
  /** The members of the input that its policy reads; undefined where that is not known. */
  readonly reads: readonly string[] | undefined;
}
