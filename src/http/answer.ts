/** Answers of the sidecar's own: errors and denials, in the shape that the caller's client library reads. */
import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http';

import { type ErrorCode, errorTable, errorType } from '../errors.ts';
import type { Api, Decision } from '../types.ts';

export interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

interface ErrorText {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

/** @returns the JSON that clients of this dialect expect under an error status */
export function renderError(api: Api, error: ErrorText): string {
  const { code, message } = error;
  const type = errorType(error.status);
  switch (api) {
    case 'openai':
      return JSON.stringify({ error: { message, type, param: null, code } });
    case 'anthropic':
      return JSON.stringify({ type: 'error', error: { type, message, code } });
    default:
      return JSON.stringify({ error: message });
  }
}

/** @param headers of the error itself, such as `Allow` */
export function answerError(api: Api, error: ErrorText, headers: Readonly<Record<string, string>> = {}): Answer {
  return answerJson(error.status, renderError(api, error), { ...headers, 'x-opallama-reason': error.code });
}

/** A denial says which rule and why; a policy may bring a body of its own. */
export function answerDenial(api: Api, decision: Decision): Answer {
  const code = decision.reasons[0]?.code ?? 'policy_denied';
  const headers = { ...decision.headers, 'x-opallama-reason': code };
  if (typeof decision.body === 'string') {
    return {
      ...answerJson(decision.httpStatus, decision.body, headers),
      headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
    };
  }
  if (decision.body !== undefined) return answerJson(decision.httpStatus, JSON.stringify(decision.body), headers);
  const message = decision.result === 'error' ? texts(decision) : `Denied by policy: ${texts(decision)}`;
  return answerJson(decision.httpStatus, renderError(api, { code, status: decision.httpStatus, message }), headers);
}

function texts(decision: Decision): string {
  return decision.reasons.map(({ code, message }) => (message === code ? code : `${message} (${code})`)).join('; ');
}

/** An answer of JSON that stands there already. */
export function answerJson(status: number, json: string, headers: Readonly<Record<string, string>>): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: Buffer.from(json),
  };
}

/** What stands at the end of a stream that was cut: a frame that this dialect's clients take for an error. */
export function renderErrorFrame(
  api: Api,
  framing: 'ndjson' | 'sse' | 'json' | undefined,
  code: ErrorCode,
): Buffer | undefined {
  const { status, message } = errorTable[code];
  const json = renderError(api, { code, status, message });
  if (framing === 'ndjson') return Buffer.from(`${json}\n`);
  // The blank line first ends an event that was cut; where none was, it is nothing (WHATWG HTML section 9.2.6).
  // Anthropic's clients look at the name of an event first, so there it stands behind that blank line.
  if (framing === 'sse')
    return Buffer.from(api === 'anthropic' ? `\n\nevent: error\ndata: ${json}\n\n` : `\ndata: ${json}\n\n`);
  return undefined;
}

/** Writes it, if there still is somebody to write to. */
export function sendAnswer(response: ServerResponse, answer: Answer, ids: OutgoingHttpHeaders): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(answer.status, { ...answer.headers, ...ids, 'content-length': answer.body.length });
  response.end(answer.body);
}

/** The same as bytes, for a socket on which HTTP itself failed: there is no response object then. */
export function serializeAnswer(answer: Answer, ids: Readonly<Record<string, string>>): Buffer {
  const headers = { ...answer.headers, ...ids, 'content-length': answer.body.length, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
  const head = [`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`, ...lines, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), answer.body]);
}
