/**
 * Every error that a caller, an operator or a metric can see, in one table. The code is the API: it stands in the answer's
 * body, in `x-opallama-reason`, in the audit event and as a label of metrics.
 */

interface ErrorEntry {
  readonly status: number;
  /** What happened and what to do; a thrower may replace it by something more exact, never by bytes of the request. */
  readonly message: string;
}

export const errorTable = {
  // Who calls
  missing_credentials: { status: 401, message: 'Send a bearer token: "Authorization: Bearer <token>".' },
  invalid_credentials: { status: 401, message: 'The credential was refused. Ask for a new token.' },
  conflicting_credentials: { status: 401, message: 'Two credentials that differ were sent. Send one.' },
  certificate_expired: {
    status: 401,
    message: 'The certificate of this connection has expired. Connect again with a new one.',
  },
  certificate_revoked: { status: 401, message: 'The certificate of this connection was revoked.' },
  ambiguous_certificate: {
    status: 401,
    message: 'The certificate is that of several callers, or its names cannot be read. Present one of a single caller.',
  },
  keys_unavailable: {
    status: 503,
    message:
      'The keys that this credential is verified with can not be had at the moment. Try again with the same one.',
  },

  // The token endpoint
  invalid_client: { status: 401, message: 'No client has this id and this secret.' },
  invalid_token_request: { status: 400, message: 'This is no token request (RFC 6749, section 4.4.2).' },
  unsupported_grant_type: { status: 400, message: 'The only grant_type is client_credentials.' },
  invalid_scope: { status: 400, message: 'The client has not all of these permissions. Ask for some that it has.' },
  too_many_token_requests: {
    status: 429,
    message: 'Too many tokens were asked for. Keep a token until it expires, and wait as Retry-After says.',
  },

  // HTTP that two readers could read in two ways
  malformed_http: { status: 400, message: 'This is not a well-formed HTTP/1.1 request.' },
  request_timeout: { status: 408, message: 'The request did not arrive in time.' },
  headers_too_large: { status: 431, message: 'The request headers are too large.' },
  uri_too_long: { status: 414, message: 'The request target is too long.' },
  invalid_target: {
    status: 400,
    message: 'The request target must be a path in plain form: no "%", "//", dot segment or backslash.',
  },
  invalid_host: { status: 400, message: 'Exactly one Host header is required.' },
  forbidden_host: { status: 403, message: 'This Host is not served. Add it to listen.hosts.' },
  forbidden_origin: { status: 403, message: 'Web pages of this origin may not call. Add it to cors.origins.' },
  loop_detected: {
    status: 508,
    message: 'The request came back to the sidecar that sent it. Set upstream.base_url to where Ollama answers.',
  },
  upgrade_refused: { status: 400, message: 'Protocol upgrades are not supported.' },
  expectation_failed: { status: 417, message: 'Only "Expect: 100-continue" is supported.' },

  // What is asked
  unknown_route: { status: 404, message: 'There is no such route. The README lists the routes that are proxied.' },
  method_not_allowed: { status: 405, message: 'This route does not take this method.' },
  unsupported_encoding: { status: 415, message: 'Send the body without Content-Encoding.' },
  unsupported_charset: { status: 415, message: 'Send the body in UTF-8.' },
  body_too_large: { status: 413, message: 'The body is larger than limits.body.' },
  digest_mismatch: { status: 400, message: 'The bytes that came are not those that the digest names.' },
  body_not_allowed: { status: 400, message: 'This route takes no body.' },
  missing_body: { status: 400, message: 'This route needs a JSON body.' },
  invalid_json: { status: 400, message: 'The body is not one JSON value.' },
  invalid_utf8: { status: 400, message: 'The body is not valid UTF-8.' },
  byte_order_mark: { status: 400, message: 'The body begins with a byte-order mark. Send plain UTF-8.' },
  lone_surrogate: { status: 400, message: 'The body escapes half of a surrogate pair.' },
  trailing_data: { status: 400, message: 'There is data after the JSON value.' },
  too_deep: { status: 400, message: 'The body is nested deeper than 64 levels.' },
  too_complex: { status: 400, message: 'The body has too many members and elements.' },
  not_an_object: { status: 400, message: 'The body must be a JSON object.' },
  duplicate_member: { status: 400, message: 'A member stands twice in one object.' },
  ambiguous_member: { status: 400, message: 'A member differs from a known one only by case. Write it as documented.' },
  invalid_member: { status: 400, message: 'A member has the wrong type.' },
  invalid_arguments: {
    status: 400,
    message: 'The arguments of a tool call must be one JSON object that can be read in one way.',
  },
  missing_model: { status: 400, message: 'The member "model" is required and must be a non-empty string.' },
  invalid_model: { status: 400, message: 'The model name is not one that Ollama resolves.' },
  ambiguous_agent_role: {
    status: 403,
    message:
      'The caller has several roles and no agent_role claim. Name one in the token, or set identity.role_precedence.',
  },

  // Policy
  policy_denied: { status: 403, message: 'The policy does not allow this.' },
  policy_undefined: { status: 403, message: 'The policy gave no decision.' },
  policy_ambiguous: { status: 403, message: 'The policy gave several decisions.' },
  policy_malformed: { status: 403, message: 'The policy gave a decision that is not understood.' },
  unknown_obligation: { status: 403, message: 'The policy asks for an obligation that is not supported.' },
  policy_conflict: { status: 403, message: 'The policies allow this on conditions that contradict each other.' },
  deny_list_operation: {
    status: 403,
    message:
      'A deny-list allows neither management operations nor cloud models unless policy.deny_list_operations names them.',
  },
  policy_error: { status: 500, message: 'The policy failed to evaluate. See the log.' },
  policy_unavailable: { status: 503, message: 'No policy is loaded.' },
  policy_deadline: { status: 503, message: 'The policy took too long to decide. Try again shortly.' },
  policy_memory: { status: 503, message: 'The policy used more memory than it may.' },
  policy_crashed: { status: 500, message: 'The policy ended the thread that it runs in. See the log.' },
  engine_unavailable: { status: 503, message: 'The policy engine can not be reached. Try again shortly.' },

  // The admin API
  insufficient_scope: { status: 403, message: 'This admin token is not good for that: see admin.tokens[].scope.' },
  unknown_policy: { status: 404, message: 'There is no policy of this name.' },
  unknown_revision: { status: 404, message: 'No revision of this name is kept; ask for the revisions of the policy.' },
  nothing_to_undo: { status: 409, message: 'No former revision is kept that the policy could go back to.' },
  unknown_decision: {
    status: 404,
    message: 'This decision is not among those that are kept. The audit log has it: opallama explain --input.',
  },
  no_rollout: { status: 409, message: 'No revision of this policy is being rolled out.' },

  // The upstream
  upstream_unreachable: { status: 502, message: 'Cannot reach Ollama. Is it running?' },
  upstream_reset: { status: 502, message: 'Ollama closed the connection before it answered.' },
  upstream_invalid: { status: 502, message: 'Ollama gave an answer that is not well-formed HTTP.' },
  upstream_tls: { status: 502, message: 'The connection to Ollama could not be secured. See the log.' },
  upstream_timeout: { status: 504, message: 'Ollama did not answer in time.' },
  upstream_died: { status: 502, message: 'Ollama stopped in the middle of its answer.' },
  upstream_idle: { status: 504, message: 'Ollama paused for too long in the middle of its answer.' },
  total_timeout: { status: 504, message: 'The request took longer than timeouts.total.' },

  // The sidecar
  overloaded: { status: 503, message: 'Too many requests are in flight. Try again shortly.' },
  audit_unavailable: {
    status: 503,
    message: 'The request can not be recorded, so it was not forwarded. Try again shortly.',
  },
  shutting_down: { status: 503, message: 'This sidecar is shutting down. Try again: another one answers.' },
  client_closed_request: { status: 499, message: 'The client left before the answer was complete.' },
  internal_error: { status: 500, message: 'The sidecar failed. See the log.' },
} as const satisfies Readonly<Record<string, ErrorEntry>>;

export type ErrorCode = keyof typeof errorTable;

/** Ends a request with an answer of the sidecar's own. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param message replaces the table's text; goes to the caller, so it must not hold the request's bytes unescaped
   * @param options.headers sent with the answer, such as `Allow` and `WWW-Authenticate`
   */
  constructor(
    code: ErrorCode,
    message?: string,
    options: { readonly headers?: Readonly<Record<string, string>>; readonly cause?: unknown } = {},
  ) {
    super(message ?? errorTable[code].message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.status = errorTable[code].status;
    this.headers = options.headers ?? {};
  }
}

/** A place in a policy file; rows and columns count from 1. */
export interface PolicyFault {
  readonly code: string;
  readonly message: string;
  readonly file: string | undefined;
  readonly row: number | undefined;
  readonly column: number | undefined;
}

/** A policy that can't be loaded: what is wrong with it, every fault with its place. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly faults: readonly PolicyFault[];

  constructor(summary: string, faults: readonly PolicyFault[] = [], options?: ErrorOptions) {
    super([summary, ...faults.map(formatFault)].join('\n'), options);
    this.faults = faults;
  }
}

/** Codes with which a failed evaluation denies. */
export type EvaluationCode = Extract<
  ErrorCode,
  'policy_error' | 'policy_unavailable' | 'policy_deadline' | 'policy_memory' | 'policy_crashed' | 'engine_unavailable'
>;

/** An evaluation that gave no result. The caller gets the code; the message is for the log. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
  readonly code: EvaluationCode;

  constructor(code: EvaluationCode, message: string = errorTable[code].message, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** `file:row:column: code: message`, the form that editors and CI make links of. */
export function formatFault(fault: PolicyFault): string {
  const place = [fault.file, fault.row, fault.column].filter((part) => part !== undefined).join(':');
  return `${place === '' ? '' : `${place}: `}${fault.code}: ${fault.message}`;
}

/** A command that is called in a way that makes no sense: what is wrong and what to write. Ends the process with code 2. */
export class CallError extends Error {
  override readonly name = 'CallError';
}

/** A configuration that can't be used: every fault at once. Ends the process with code 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/** Names of Anthropic's error types, used in both `/v1` dialects. */
export function errorType(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 413:
      return 'request_too_large';
    case 429:
      return 'rate_limit_error';
    case 503:
      return 'overloaded_error';
    case 504:
      return 'timeout_error';
    default:
      return status >= 500 ? 'api_error' : 'invalid_request_error';
  }
}
