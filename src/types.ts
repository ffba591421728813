/**
 * The contracts that the stages share. Types only: no code, no imports from a stage.
 *
 * Names on the wire, in Rego, in YAML and in metrics are snake_case; `PolicyInput` and `AuditEvent` are wire documents and
 * therefore spelled that way. Everything else is camelCase.
 */

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
  readonly agent_role?: string | undefined;
  readonly tenant?: string | undefined;
  readonly api: Api;
  readonly operation?: AuditOperation | undefined;
  readonly model?: string | undefined;
  readonly provider: 'ollama';
  readonly target?: string | undefined;
  readonly policy_result: 'allow' | 'deny' | 'error' | 'none';
  readonly reasons: readonly string[];
  readonly revision?: string | undefined;
  readonly changes?: readonly string[] | undefined;
  readonly method: string;
  readonly path?: string | undefined;
  readonly client_certificate?: string | undefined;
  readonly has_system_prompt?: boolean | undefined;
  readonly has_tools?: boolean | undefined;
  readonly message_count?: number | undefined;
  readonly stream?: boolean | undefined;
  readonly engine?: string | undefined;
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
