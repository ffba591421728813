/** Which headers pass, in both directions (design: input). Everything else stays here, credentials above all. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

import type { AnswerHeaders } from '../upstream-answer.ts';

const toUpstream: readonly string[] = [
  'content-type',
  'accept',
  'user-agent',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
];

const toClient: readonly string[] = ['content-type', 'content-length', 'cache-control', 'date', 'allow', 'retry-after'];

export interface RequestHeaderOptions {
  readonly requestId: string;
  /** The caller's, where it is well-formed. */
  readonly trace: { readonly traceparent: string; readonly tracestate: string | undefined } | undefined;
  /** Bytes of the body; undefined: none, or chunked. */
  readonly length: number | undefined;
  /** Names this sidecar, so that a request that comes back can be told. */
  readonly via: string;
  /** Of the decision: set last, so that a policy may replace an allow-listed one. */
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** Without `host`, which is the upstream's own: Ollama on loopback answers 403 to any other. */
export function buildRequestHeaders(caller: IncomingHttpHeaders, options: RequestHeaderOptions): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const name of toUpstream) {
    const value: string | string[] | undefined = caller[name];
    if (value !== undefined) headers[name] = value;
  }
  headers['x-request-id'] = options.requestId;
  const { trace } = options;
  if (trace !== undefined) {
    headers['traceparent'] = trace.traceparent;
    if (trace.tracestate !== undefined) headers['tracestate'] = trace.tracestate;
  }
  Object.assign(headers, options.set);
  for (const name of options.remove) delete headers[name];
  if (headers['host'] !== undefined) delete headers['host'];
  // Behind all that a policy may say: neither the framing nor the loop is its business.
  headers['via'] = options.via;
  if (options.length !== undefined) headers['content-length'] = options.length;
  return headers;
}

/** They may be said line by line, and mean the list of all (RFC 9110, 5.3). */
const lists: ReadonlySet<string> = new Set(['cache-control', 'allow']);

/** One value for each name: of what is no list the first one counts, as with Node's client. */
export function joinRepeated(headers: Readonly<Record<string, string | string[] | undefined>>): AnswerHeaders {
  const joined: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(headers))
    joined[name] = Array.isArray(value) ? (lists.has(name) ? value.join(', ') : value[0]) : value;
  return joined;
}

/** @param rewritten true where the body that leaves may be shorter than the one that came */
export function buildAnswerHeaders(upstream: AnswerHeaders, rewritten: boolean): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const name of toClient) {
    const value = upstream[name];
    if (value !== undefined && !(rewritten && name === 'content-length')) headers[name] = value;
  }
  return headers;
}
