/**
 * The token endpoint (RFC 6749 section 3.2): its requests and answers. It answers clients that have no token yet, so it
 * stands before identity, and asks for its own credential.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';

import { RequestError } from '../errors.ts';
import { clientChallenge, type GrantedToken, type TokenGrant, type TokenRequest } from '../identity/grant-token.ts';
import { type BodyBudget, readBody } from '../input/body.ts';
import { guardJson } from '../input/guard/guard.ts';
import type { Shape } from '../input/guard/known-members.ts';
import { type Answer, answerJson } from './answer.ts';

export const tokenRoute = { api: 'gateway', operation: 'token.issue', path: '/auth/token' } as const;

const tokenPaths: ReadonlySet<string> = new Set([tokenRoute.path, '/api/v1/auth/token']);

/** Bytes; a client id, a secret and a scope have some hundreds. */
const largestBody = 8 * 1024;

export function isTokenPath(path: string): boolean {
  return tokenPaths.has(path);
}

export interface TokenExchange {
  readonly request: IncomingMessage;
  /** The target's query, with its question mark. */
  readonly query: string;
  readonly budget: BodyBudget;
  readonly timeoutMs: number;
  /** Asks for the body, where the caller waits to be asked. */
  readonly ask: (() => void) | undefined;
  /** The body is here. */
  readonly received: () => void;
}

/**
 * Reads a token request and grants it.
 *
 * @throws RequestError of which `answerTokenError` makes the answer
 */
export async function receiveTokenRequest(grant: TokenGrant, exchange: TokenExchange): Promise<GrantedToken> {
  const { request } = exchange;
  if (request.method !== 'POST')
    throw new RequestError('method_not_allowed', undefined, { headers: { allow: 'POST' } });
  grant.admit(request.socket.remoteAddress ?? '');
  // A secret in a URL stands in logs on its way (RFC 6749 section 2.3.1).
  if (exchange.query !== '') throw malformed('Send the parameters in the body, never in the URL.');
  const { budget, timeoutMs, ask } = exchange;
  const body = await readBody(request, { maxBytes: largestBody, timeoutMs, budget, ask });
  exchange.received();
  try {
    return grant.grant(readTokenRequest(request, body.bytes));
  } finally {
    body.release();
  }
}

/** RFC 6749 section 5.1, with what keeps the token out of caches. */
export function answerToken({ token, expiresS }: GrantedToken): Answer {
  const body = JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: expiresS });
  return answerJson(200, body, notKept);
}

/** RFC 6749 section 5.2. */
export function answerTokenError({ code, status, message, headers }: RequestError): Answer {
  const body = JSON.stringify({
    error: oauthCode(code, status),
    // Section 5.2 leaves quotes and backslashes out.
    error_description: message.replaceAll('"', "'").replaceAll('\\', '/'),
  });
  return answerJson(status, body, { ...headers, ...notKept, 'x-opallama-reason': code });
}

const notKept = { 'cache-control': 'no-store', pragma: 'no-cache' };

function oauthCode(code: string, status: number): string {
  if (code === 'invalid_client' || code === 'unsupported_grant_type' || code === 'invalid_scope') return code;
  if (status === 429 || status === 503) return 'temporarily_unavailable';
  return status >= 500 ? 'server_error' : 'invalid_request';
}

function malformed(message: string): RequestError {
  return new RequestError('invalid_token_request', message);
}

function readTokenRequest(request: IncomingMessage, bytes: Buffer): TokenRequest {
  const parameters = readParameters(request.headers['content-type'], bytes);
  const basic = readBasic(request.rawHeaders);
  const [id, secret] = [parameters.get('client_id'), parameters.get('client_secret')];
  if (basic !== undefined && (secret !== undefined || (id !== undefined && id !== basic.id)))
    throw malformed('Authenticate once: by HTTP Basic, or by client_id and client_secret in the body.');
  const clientId = basic?.id ?? id;
  const clientSecret = basic?.secret ?? secret;
  if (parameters.get('grant_type') === undefined) throw malformed('grant_type is missing: client_credentials.');
  if (clientId === undefined || clientSecret === undefined)
    throw new RequestError('invalid_client', 'Send client_id and client_secret, in the body or by HTTP Basic.', {
      headers: clientChallenge,
    });
  return { grantType: parameters.get('grant_type'), clientId, clientSecret, scope: parameters.get('scope') };
}

/** RFC 6749 section 3.2: no parameter twice, one without a value is none, unknown ones are nobody's business. */
function readParameters(contentType: string | undefined, bytes: Buffer): ReadonlyMap<string, string> {
  const mediaType = contentType?.split(';')[0]?.trim().toLowerCase();
  const entries =
    mediaType === 'application/json'
      ? readJson(bytes)
      : mediaType === 'application/x-www-form-urlencoded'
        ? readForm(bytes)
        : undefined;
  if (entries === undefined)
    throw malformed('Send application/x-www-form-urlencoded or application/json, and say which by Content-Type.');
  const parameters = new Map<string, string>();
  for (const [name, value] of entries) {
    if (value === '') continue;
    if (parameters.has(name)) throw malformed('A parameter stands twice.');
    parameters.set(name, value);
  }
  return parameters;
}

const names = ['grant_type', 'client_id', 'client_secret', 'scope'];
const free: Shape = { kind: 'free' };
const tokenRequestShape: Shape = {
  kind: 'struct',
  members: new Map(names.map((name) => [name, free])),
  folded: new Map(names.map((name) => [name, name])),
};

function readJson(bytes: Buffer): ReadonlyArray<readonly [string, string]> {
  return Object.entries(guardJson(bytes, tokenRequestShape).value).flatMap(([name, value]) => {
    if (typeof value === 'string') return [[name, value] as const];
    if (names.includes(name)) throw malformed(`${name} must be a string.`);
    return [];
  });
}

function readForm(bytes: Buffer): Iterable<[string, string]> {
  if (!isUtf8(bytes)) throw new RequestError('invalid_utf8');
  return new URLSearchParams(bytes.toString('utf8')).entries();
}

/** RFC 7617, with id and secret in the encoding of forms (RFC 6749 section 2.3.1). */
function readBasic(rawHeaders: readonly string[]): { readonly id: string; readonly secret: string } | undefined {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  const [value] = values;
  if (value === undefined) return undefined;
  const encoded = /^basic +([A-Za-z0-9+/]+=*) *$/i.exec(value)?.[1];
  if (values.length > 1 || encoded === undefined)
    throw new RequestError('invalid_client', 'The Authorization header must be one of HTTP Basic.', {
      headers: clientChallenge,
    });
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  try {
    if (colon > 0) return { id: decodeForm(pair.slice(0, colon)), secret: decodeForm(pair.slice(colon + 1)) };
  } catch {
    // Said below.
  }
  throw new RequestError('invalid_client', 'HTTP Basic must hold client_id:client_secret.', {
    headers: clientChallenge,
  });
}

/** @throws URIError */
function decodeForm(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
