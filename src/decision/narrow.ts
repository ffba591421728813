/**
 * Narrows what an entrypoint returned to a decision (design: decision). Everything that is not understood denies: a slip in
 * a policy must not open a door. The rule follows the habit of OPA's Envoy plugin, whose names it takes over.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';

import type { ErrorCode } from '../errors.ts';
import { errorTable } from '../errors.ts';
import type { Decision, EntrypointShape, Reason } from '../types.ts';

/** What a policy said, before the engine, the revision and the time are known. */
export type Narrowed = Omit<Decision, 'decisionId' | 'result' | 'engine' | 'revision' | 'durationNs'>;

export interface NarrowOptions {
  readonly shape: EntrypointShape;
  /**
   * What a deny-list may not allow by silence: the operation's or model's name, undefined where there is nothing of the
   * kind. An `allow` rule is not bound by it.
   */
  readonly beyondDenyList: string | undefined;
}

/** Members by which a decision is read; other rules of the package are its own business. Design: decision. */
export const decisionMembers: readonly string[] = [
  'allow',
  'allowed',
  'deny',
  'http_status',
  'body',
  'headers',
  'request_headers_to_remove',
  'response_headers_to_add',
  'dynamic_metadata',
  'debug_log',
  'reasons',
  'obligations',
];

const none: Narrowed = {
  allowed: false,
  reasons: [],
  httpStatus: 403,
  body: undefined,
  headers: {},
  requestHeadersToRemove: [],
  responseHeadersToAdd: {},
  // In the order of what is narrowed, so that all decisions have one shape.
  dynamicMetadata: undefined,
  debugLog: undefined,
  obligations: {},
};

/** A code as METADATA declares it; anything else in a set of strings is text for people. */
const codePattern = /^[a-z][a-z0-9_.-]{0,63}$/;

/**
 * Headers that no policy may set. RFC 9110 section 7.6.1 (hop-by-hop), and those that would change the message's framing,
 * its destination, or whose name it is sent in.
 */
export const forbiddenHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'x-api-key',
]);

class Malformed extends Error {}

/**
 * @param results one element for each result of the entrypoint
 * @returns a decision; never throws
 */
export function narrow(results: readonly unknown[], options: NarrowOptions): Narrowed {
  if (results.length === 0) return denied('policy_undefined');
  if (results.length > 1) return denied('policy_ambiguous');
  const result = results[0];
  if (typeof result === 'boolean')
    return result ? { ...none, allowed: true, httpStatus: 200 } : denied('policy_denied');
  if (!isRecord(result))
    return denied('policy_malformed', `The entrypoint gave ${describe(result)}, which is no decision.`);
  try {
    return narrowMembers(result, options);
  } catch (error) {
    if (error instanceof Malformed) return denied('policy_malformed', error.message);
    throw error;
  }
}

function narrowMembers(result: Readonly<Record<string, unknown>>, options: NarrowOptions): Narrowed {
  const denials = readReasons('deny', result['deny']);
  const members = {
    body: result['body'],
    headers: readHeaders('headers', result['headers']),
    requestHeadersToRemove: readNames('request_headers_to_remove', result['request_headers_to_remove']),
    responseHeadersToAdd: readHeaders('response_headers_to_add', result['response_headers_to_add']),
    dynamicMetadata: readObject('dynamic_metadata', result['dynamic_metadata']),
    debugLog: readDebugLog(result['debug_log']),
    obligations: none.obligations,
  };
  const httpStatus = readStatus(result['http_status']);
  const stated = readReasons('reasons', result['reasons']);
  const allow = readAllow(result);

  if (denials.length > 0) return { ...members, allowed: false, reasons: [...denials, ...stated], httpStatus };

  if (allow === undefined) {
    if (options.shape !== 'deny_list') {
      return { ...members, ...denied('policy_undefined', 'The policy left "allow" undefined.'), httpStatus };
    }
    if (options.beyondDenyList !== undefined) return denied('deny_list_operation');
  } else if (!allow) {
    return { ...members, allowed: false, reasons: stated.length > 0 ? stated : [reason('policy_denied')], httpStatus };
  }

  const obligations = readObject('obligations', result['obligations']) ?? {};
  const [unknown] = Object.keys(obligations);
  if (unknown !== undefined) {
    return denied(
      'unknown_obligation',
      // A sentence in its place may be one of a caller's: it is told to nobody.
      `The policy asks for ${/^\w{1,64}$/.test(unknown) ? `the obligation "${unknown}"` : 'an obligation'}, which is not supported.`,
    );
  }
  return { ...members, allowed: true, reasons: stated, httpStatus: 200 };
}

/** Both names may be there (a policy in transition): then both must hold. */
function readAllow(result: Readonly<Record<string, unknown>>): boolean | undefined {
  let allow: boolean | undefined;
  for (const name of ['allow', 'allowed']) {
    const value = result[name];
    if (value === undefined) continue;
    if (typeof value !== 'boolean') throw new Malformed(`"${name}" is ${describe(value)}; it must be true or false.`);
    allow = (allow ?? true) && value;
  }
  return allow;
}

function readReasons(name: 'deny' | 'reasons', value: unknown): readonly Reason[] {
  if (value === undefined) return [];
  if (name === 'deny' && typeof value === 'boolean') return value ? [reason('policy_denied')] : [];
  if (!Array.isArray(value))
    throw new Malformed(`"${name}" is ${describe(value)}; it must be a set of strings or of {code, message}.`);
  return value.map((element: unknown) => readReason(name, element));
}

function readReason(name: string, element: unknown): Reason {
  if (typeof element === 'string') {
    return codePattern.test(element)
      ? { code: element, message: element }
      : { code: 'policy_denied', message: element };
  }
  if (isRecord(element)) {
    const { code, message } = element;
    if (typeof code === 'string' && codePattern.test(code) && (message === undefined || typeof message === 'string')) {
      return { code, message: message ?? code };
    }
  }
  throw new Malformed(
    `"${name}" holds ${describe(element)}; it must hold strings or {code, message} with a code like "model_not_allowed".`,
  );
}

/** Undefined where nothing is said: several policies then tell a silence from a no. */
function readDebugLog(value: unknown): boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean')
    throw new Malformed(`"debug_log" is ${describe(value)}; it must be true or false.`);
  return value;
}

function readStatus(value: unknown): number {
  if (value === undefined) return none.httpStatus;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 400 && value <= 499) return value;
  throw new Malformed('"http_status" must be a whole number from 400 to 499.');
}

function readHeaders(name: string, value: unknown): Readonly<Record<string, string>> {
  const object = readObject(name, value);
  if (object === undefined) return none.headers;
  const headers: Record<string, string> = {};
  for (const [header, content] of Object.entries(object)) {
    const lower = header.toLowerCase();
    if (typeof content !== 'string') throw new Malformed(`"${name}" must hold strings.`);
    checkHeader(name, lower, content);
    headers[lower] = content;
  }
  return headers;
}

function readNames(name: string, value: unknown): readonly string[] {
  if (value === undefined) return none.requestHeadersToRemove;
  if (!Array.isArray(value) || !value.every((element) => typeof element === 'string')) {
    throw new Malformed(`"${name}" must be a set of header names.`);
  }
  return value.map((header: string) => header.toLowerCase());
}

function checkHeader(name: string, header: string, content: string): void {
  if (forbiddenHeaders.has(header)) throw new Malformed(`"${name}" must not set "${header}".`);
  try {
    validateHeaderName(header);
    validateHeaderValue(header, content);
  } catch {
    throw new Malformed(`"${name}" holds a header that HTTP does not allow.`);
  }
}

function readObject(name: string, value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw new Malformed(`"${name}" is ${describe(value)}; it must be an object.`);
  return value;
}

/** A denial on the sidecar's own account. */
export function denied(code: ErrorCode, message?: string): Narrowed {
  return { ...none, reasons: [reason(code, message)] };
}

function reason(code: ErrorCode, message: string = errorTable[code].message): Reason {
  return { code, message };
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
