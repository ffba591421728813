/**
 * The contracts that the stages share. Types only: no code, no imports from a stage.
 *
 * Names on the wire, in Rego, in YAML and in metrics are snake_case; `PolicyInput` and `AuditEvent` are wire documents and
 * therefore spelled that way. Everything else is camelCase.
 */
import type { KeyObject } from 'node:crypto';
import type { JwtAlgorithm } from './jwt-algorithms.ts';
import type { ManagementConfig } from './management-config.ts';
import type { ShipConfig } from './ship-config.ts';

/** The dialect that a route speaks; it decides the shape of errors and where token counts stand. */
export type Api = 'ollama' | 'openai' | 'anthropic' | 'gateway';

/** What a request asks for, independent of the dialect. */
export type Operation =
  | 'chat'
  | 'generate'
  | 'embed'
  | 'models.list'
  | 'models.show'
  | 'models.ps'
  | 'models.pull'
  | 'models.push'
  | 'models.create'
  | 'models.copy'
  | 'models.delete'
  | 'blobs.check'
  | 'blobs.create'
  | 'aliases.list'
  | 'aliases.create'
  | 'aliases.delete'
  | 'account.show'
  | 'account.signout'
  | 'status'
  | 'version'
  | 'root';

/** What a request can be in the record: the token endpoint's never reach a policy. */
export type AuditOperation = Operation | 'token.issue';

/** What an answer consists of and where it says its counts; the route decides which one it is. */
export type AnswerKind =
  | 'ollama.generation'
  | 'ollama.embed'
  | 'ollama.progress'
  | 'openai.chat'
  | 'openai.completion'
  | 'openai.embed'
  | 'openai.response'
  | 'anthropic.message';

/** The verified caller. */
export interface Principal {
  readonly id: string;
  readonly kind: 'jwt' | 'api_key' | 'kubernetes' | 'ollama_key' | 'client_certificate' | 'anonymous';
  readonly roles: readonly string[];
  /** The claim `agent_role` or `role`; undefined where the credential carries neither. */
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  readonly tenant: string | undefined;
  /** The verified claims as they came, for policies that need more than the members above. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** One way of naming a model, resolved as Ollama resolves it. */
export interface ModelRef {
  readonly raw: string;
  readonly full: string;
  readonly host: string;
  readonly namespace: string;
  readonly name: string;
  readonly tag: string;
  readonly source: 'local' | 'cloud';
}

/** A model with the member of the request that names it: `model`, `name`, `from`, `source` ... */
export interface NamedModel extends ModelRef {
  readonly part: string;
}

/**
 * The document handed to policy (`policies/schemas/input.json`). Absent members are omitted and never null.
 * Content (`messages`, `prompt`, `system`) is there only if the policy reads it.
 */
export interface PolicyInput {
  readonly version: 1;
  readonly phase: 'request';
  readonly request_id: string;
  readonly decision_id: string;
  readonly api: Api;
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  readonly principal: {
    readonly id: string;
    readonly kind: string;
    readonly roles: readonly string[];
    readonly permissions: readonly string[];
    readonly tenant?: string;
    readonly claims: Readonly<Record<string, unknown>>;
  };
  readonly agent_role?: string;
  readonly model?: string;
  readonly model_ref?: ModelRef;
  readonly model_refs?: readonly NamedModel[];
  readonly stream?: boolean;
  readonly has_tools?: boolean;
  readonly tools?: readonly string[];
  /** Of the tools those that Ollama runs itself, and asks the network for. */
  readonly server_tools?: readonly string[];
  readonly has_system_prompt?: boolean;
  readonly has_template?: boolean;
  readonly raw?: boolean;
  readonly has_context?: boolean;
  readonly debug?: boolean;
  readonly message_count?: number;
  readonly has_images?: boolean;
  readonly image_count?: number;
  readonly prompt_bytes?: number;
  readonly estimated_tokens?: number;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly keep_alive?: unknown;
  readonly format?: unknown;
  readonly max_tokens?: number;
  readonly client: {
    readonly ip: string;
    readonly user_agent?: string;
    /** Id of the entry of `identity.client_certificates` that the connection's certificate maps to. */
    readonly certificate?: string;
  };
  /** One clock reading for the whole decision, Unix time in ns; a string of digits would be safer, Rego wants a number. */
  readonly now_ns: number;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly messages?: unknown;
  readonly prompt?: unknown;
  readonly system?: unknown;
  readonly suffix?: unknown;
  readonly template?: unknown;
  readonly mcp_server: 'ollama-proxy';
  readonly tool_name: 'ollama-api';
  readonly action: string;
  readonly resource: string;
  readonly llm_action: string;
}

/** Names the request that was decided on. */
export type AskedRequest = Pick<PolicyInput, 'request_id' | 'decision_id'>;

/** Which top-level members of the input a policy reads. `all` where that cannot be known. */
export interface InputNeeds {
  readonly all: boolean;
  readonly members: ReadonlySet<string>;
}

/** How an entrypoint answers, known statically where the Rego is at hand. Design: decision. */
export type EntrypointShape = 'rule' | 'allow' | 'deny_list' | 'unknown';

/**
 * What an engine wants a policy to be prepared to. `wasm`: Rego, tested and compiled. `rego`: Rego, tested and inspected.
 * `files`: whatever lies at `policy.path`, as it is. `none`: nothing local.
 */
export type EngineNeeds = 'wasm' | 'rego' | 'files' | 'none';

/** A policy as it was prepared. Holds what the engine needs and no more: an engine may keep it for as long as it decides. */
export interface PolicySet {
  /** Of what was read; empty where nothing was, and the engine says its own. */
  readonly revision: string;
  /** The compiled module; undefined unless the engine needs `wasm`. */
  readonly wasm: Uint8Array | undefined;
  /** File name to Rego text, tests left out; empty unless the engine needs `rego`. */
  readonly modules: Readonly<Record<string, string>>;
  /** Everything that was read, by its name below `policy.path`; empty unless the engine needs `files`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly data: Readonly<Record<string, unknown>>;
  /** The same as JSON, in UTF-8, where it is at hand: to parse and write tens of megabytes takes a second each. */
  readonly dataText?: Uint8Array | undefined;
  /** Those that are wanted. What is compiled has them; elsewhere the engine finds out when it loads. */
  readonly entrypoints: readonly string[];
  readonly reads: InputNeeds;
  readonly shapes: ReadonlyMap<string, EntrypointShape>;
  /** Codes that METADATA declares (`custom.code`); only these may be labels of metrics. */
  readonly codes: ReadonlySet<string>;
  /** The same input gives the same result: no clock, random or network built-in is called. False where unknown. */
  readonly deterministic: boolean;
  /** Built-ins that its rules call; undefined where that is not known. */
  readonly builtins?: ReadonlySet<string> | undefined;
}

/**
 * How an engine holds up the thread that it runs in. `bounded`: as long as the policy and its data make it, for the most
 * part microseconds. `interpreted`: an interpreter's time. `user_code`: anything, so it never runs in the sidecar's own
 * thread. `elsewhere`: not at all, it asks another process.
 */
export type EngineLoad = 'bounded' | 'interpreted' | 'user_code' | 'elsewhere';

/** Evaluates an input against loaded policy. An engine never decides; `decision/narrow.ts` does. */
export interface DecisionEngine {
  readonly name: string;
  readonly needs: EngineNeeds;
  /** Decides with `policy.isolation` where it runs; `bounded` if not said. */
  readonly holds?: EngineLoad;
  /** @throws PolicyError with file, row and column where they are known. */
  load(policy: PolicySet): Promise<LoadedPolicy>;
}

export interface LoadedPolicy {
  readonly revision: string;
  readonly entrypoints: readonly string[];
  /** Which input members it reads; unknown means all. */
  readonly reads: InputNeeds;
  readonly codes: ReadonlySet<string>;
  readonly deterministic: boolean;
  /** What the engine read by itself. Loading the same policy again, in another thread, it is handed this as `PolicySet.files`. */
  readonly files?: ReadonlyMap<string, Uint8Array> | undefined;
  shape(entrypoint: string): EntrypointShape;
  /**
   * The raw results: one element for each result of the entrypoint, none if it is undefined. Throws what evaluation throws:
   * an `EvaluationError` (errors.ts) says with which code it denies, anything else denies as `policy_error`. The next
   * evaluation must work again: an engine replaces what broke.
   */
  evaluate(entrypoint: string, input: PolicyInput): readonly unknown[] | Promise<readonly unknown[]>;
  /** Why nothing can be decided at the moment, a sentence; undefined where it can. Absent: an engine that always can. */
  notReady?(): string | undefined;
  close(): Promise<void>;
}

export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** The narrowed result of an entrypoint. */
export interface Decision {
  readonly decisionId: string;
  readonly allowed: boolean;
  /** `error`: evaluation failed, which denies as well. */
  readonly result: 'allow' | 'deny' | 'error';
  readonly reasons: readonly Reason[];
  /** Status of the answer to a denial, 400 to 499, or 500 and 503 for a failed evaluation. */
  readonly httpStatus: number;
  readonly body: unknown;
  /** To the upstream on allow, to the client on deny. Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: Readonly<Record<string, string>>;
  /** Whether the caller may have this request told of in the log at level debug, by the header `x-opallama-debug`. */
  readonly debugLog?: boolean | undefined;
  /** Of several policies: below the name of each. */
  readonly dynamicMetadata: Readonly<Record<string, unknown>> | undefined;
  /** What must be carried out with an allow, by name. Empty: none is supported yet, so that each of them denies. */
  readonly obligations: Readonly<Record<string, unknown>>;
  /** Of several policies: those of all, joined by commas. */
  readonly engine: string;
  readonly revision: string;
  /** Time that the evaluation took, in nanoseconds. */
  readonly durationNs: number;
}

/** What decides one request, from its input to its record: a reload between the two changes nothing of it. */
export interface DecidingPolicy {
  readonly reads: InputNeeds;
  /** Codes that METADATA declares; only these may be labels of metrics. */
  readonly codes: ReadonlySet<string>;
  /** It is given what callers wrote, so what it writes may hold content. */
  readonly readsContent: boolean;
  /** Never rejects: what fails is a decision that denies. */
  decide(input: PolicyInput): Promise<Decision>;
}

/** Token counts of one answer; `undefined` where the upstream did not say. */
export interface Usage {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

export type Outcome = 'complete' | 'aborted' | 'incomplete' | 'denied' | 'error';

/**
 * One event a request, whatever happens to it; a sink adds `"event":"audit"` to its line and leaves out what is undefined. Never any prompt or answer text.
 */
export interface AuditEvent {
  readonly time: string;
  readonly request_id: string;
  readonly trace_id?: string | undefined;
  readonly decision_id?: string | undefined;
  readonly principal?: string | undefined;
  readonly client_certificate?: string | undefined;
  readonly agent_role?: string | undefined;
  readonly tenant?: string | undefined;
  readonly api: Api;
  readonly operation?: AuditOperation | undefined;
  readonly method: string;
  readonly path?: string | undefined;
  readonly model?: string | undefined;
  readonly target?: string | undefined;
  readonly has_system_prompt?: boolean | undefined;
  readonly has_tools?: boolean | undefined;
  readonly message_count?: number | undefined;
  readonly stream?: boolean | undefined;
  readonly policy_result: 'allow' | 'deny' | 'error' | 'none';
  readonly reasons: readonly string[];
  readonly engine?: string | undefined;
  readonly revision?: string | undefined;
  readonly changes?: readonly string[] | undefined;
  readonly status: number;
  readonly error?: string | undefined;
  readonly usage: 'known' | 'unknown' | 'none';
  readonly input_tokens?: number | undefined;
  readonly output_tokens?: number | undefined;
  readonly finish_reason?: string | undefined;
  readonly time_to_first_token_ms?: number | undefined;
  readonly duration_ms: number;
  readonly outcome: Outcome;
  readonly tool_name: 'ollama-api';
  readonly mcp_server: 'ollama-proxy';
  readonly action: string;
  readonly provider: 'ollama';
  readonly dynamic_metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly input?: Readonly<Record<string, unknown>> | undefined;
}

/** What is recorded of a request before it is handed to the upstream: who asks for what, and that its policy allowed it. */
export type DecisionEvent = Pick<
  AuditEvent,
  | 'time'
  | 'request_id'
  | 'trace_id'
  | 'decision_id'
  | 'principal'
  | 'agent_role'
  | 'tenant'
  | 'api'
  | 'operation'
  | 'model'
  | 'provider'
  | 'target'
  | 'policy_result'
  | 'reasons'
  | 'revision'
  | 'changes'
>;

/** What an operator changed, or tried to; a sink adds `"event":"admin"`. Never a credential. */
export interface AdminEvent {
  readonly time: string;
  readonly request_id: string;
  readonly who: string;
  readonly endpoint: string;
  readonly policy: string;
  readonly asked?: unknown;
  readonly status: number;
  readonly error?: string | undefined;
  readonly result?: unknown;
  readonly remote?: string | undefined;
}

/**
 * What became of a request that a shadow was to be asked about. `error`: the shadow failed, where what decided had not.
 * `dropped`: it was not asked, because it is not loaded or too much was waiting.
 */
export type ShadowResult = 'agree' | 'newly_denied' | 'newly_allowed' | 'other_reasons' | 'error' | 'dropped';

/** A request that a shadow would have decided otherwise; a sink adds `"event":"shadow"`. Never any prompt or answer text. */
export interface ShadowEvent {
  readonly time: string;
  readonly shadow: string;
  readonly disagreement: Exclude<ShadowResult, 'agree' | 'dropped'>;
  readonly request_id: string;
  readonly decision_id: string;
  readonly principal: string;
  readonly agent_role?: string | undefined;
  readonly operation: Operation;
  readonly model?: string | undefined;
  readonly policy_result: Decision['result'];
  readonly reasons: readonly string[];
  readonly revision: string;
  readonly shadow_result: Decision['result'];
  readonly shadow_reasons: readonly string[];
  readonly shadow_engine?: string | undefined;
  readonly shadow_revision?: string | undefined;
  readonly input: Readonly<Record<string, unknown>>;
}

/** Times of a request that metrics want and the audit event does not carry, in seconds. */
export interface Measures {
  readonly durationS: number;
  /** Until the first byte of the answer. */
  readonly firstByteS: number | undefined;
  readonly decisionS: number | undefined;
  /** The first reason as a label: a declared code or one of ours, else `policy_denied`; empty where there is none. */
  readonly reasonLabel: string;
  /** What the sidecar added before the upstream was asked, the wait for the caller's body left out. */
  readonly overheadS: number | undefined;
  /** The caller traces it, and keeps the trace. */
  readonly traceSampled?: boolean | undefined;
}

/** A named change to the judged bytes: `bytes` stand in for `[start, end)`. */
export interface Splice {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** A host and port to bind. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

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

/** A key of Ollama's own command line, and who has it. */
export interface OllamaKeyConfig {
  readonly id: string;
  readonly key: KeyObject;
  /** The same key in OpenSSH's base64, as the caller sends it. */
  readonly publicKey: string;
  readonly roles: readonly string[];
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  readonly tenant: string | undefined;
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

export interface ServiceAccountConfig {
  readonly namespace: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  /** Absent: the namespace. */
  readonly tenant: string | undefined;
}

/** A client of the token endpoint. */
export interface TokenClient {
  readonly id: string;
  readonly roles: readonly string[];
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  readonly tenant: string | undefined;
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
export interface ClientCertificateConfig {
  /** What of the certificate is compared. */
  readonly match: 'san_uri' | 'san_dns' | 'subject' | 'fingerprint';
  /** Compared whole; a DNS name in lower case, a fingerprint as 64 lower-case hexadecimal digits. */
  readonly value: string;
  readonly id: string;
  /** None: the certificate is no caller, it only carries the tokens of callers. */
  readonly roles: readonly string[];
  readonly agentRole: string | undefined;
  readonly permissions: readonly string[];
  readonly tenant: string | undefined;
  /** Whether tokens of other callers count on its connections. */
  readonly carriesTokens: boolean;
}

/** `cert`: the own certificate and those that signed it; `key`: its private key; `ca`: who may vouch for the peer. */
export type TlsPart = 'cert' | 'key' | 'ca';

/** PEM that was checked. */
export interface TlsMaterial {
  /** For the options of a server or a connection, as they are; a part that is not configured is not there. */
  readonly parts: Readonly<Partial<Record<TlsPart, Buffer>>>;
  /** Of the own certificate, for people. */
  readonly subject: string | undefined;
  /** When the own certificate expires, Unix time. */
  readonly expiresMs: number | undefined;
}

/** Where the parts come from, absolute paths, so that they can be read again. */
export type TlsFiles = Readonly<Record<TlsPart, string | undefined>>;

export interface ListenTls {
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
  /** Whether a caller must present a certificate; undefined where none is asked for. */
  readonly clientAuth: 'require' | 'request' | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface UpstreamTls {
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
  /** The name that the upstream's certificate must have, in the place of the URL's host. */
  readonly serverName: string | undefined;
}

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

/** The file that audit lines are kept in. Paths are absolute. */
export interface AuditFileConfig {
  readonly path: string;
  /** `strict`: a request goes on once its line is on disk. */
  readonly durability: 'async' | 'strict';
  /** What becomes of requests while the file can't be written. */
  readonly onFailure: 'refuse' | 'continue';
  /** `every` in ms; 0: by size alone. */
  readonly rotate: { readonly size: number; readonly every: number };
  /** In ms and bytes; 0: for ever, and all. */
  readonly keep: { readonly forMs: number; readonly bytes: number };
  readonly heads: AuditHeadsConfig | undefined;
}

/** How ends of the chain are vouched for, and where that is kept. */
export interface AuditHeadsConfig {
  /** Private, Ed25519. */
  readonly key: KeyObject;
  /** Where it came from, for `--print-config`. */
  readonly source: { readonly member: 'key_env' | 'key_file'; readonly value: string };
  /** ms */
  readonly every: number;
  readonly stdout: boolean;
  readonly file: string | undefined;
  readonly url: URL | undefined;
  /** Sent to `url` as a bearer token. */
  readonly token: string | undefined;
  readonly tokenSource: { readonly member: 'token_env' | 'token_file'; readonly value: string } | undefined;
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
