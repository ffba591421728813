/** What ties a request to the same request elsewhere. Callers choose it, so only what is well-formed is taken over. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { inOnePiece } from '../one-piece.ts';

/** Ids of the caller's that may stand in logs and go to the upstream. */
const requestIdPattern = /^[\w.:-]{1,128}$/;

/** W3C Trace Context, 3.2.2: no id is all zeros, version ff is none, and later versions may say more behind the flags. */
const traceparentPattern =
  /^(?:(00)|(?!ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-[!-~]{0,200})?$/;

/** The same, 3.3.1: a list of key=value, of which at most 32 may be there; empty members are allowed. */
const member = String.raw`[a-z0-9][a-z0-9_*/-]{0,240}(?:@[a-z][a-z0-9_*/-]{0,13})?=[ -+\--<>-~]{0,255}[!-+\--<>-~]`;
const tracestatePattern = new RegExp(`^[ \\t]*(?:${member})?[ \\t]*(?:,[ \\t]*(?:${member})?[ \\t]*){0,31}$`);
const longestTracestate = 4096;

export interface Trace {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** Whoever began the trace keeps it. */
  readonly sampled: boolean;
}

/** A random UUID, for the record of a request. */
export function createId(): string {
  return inOnePiece(randomUUID());
}

/** @returns the caller's id, or a new one */
export function readRequestId(headers: IncomingHttpHeaders): string {
  const sent = headers['x-request-id'];
  return typeof sent === 'string' && requestIdPattern.test(sent) ? sent : createId();
}

/** @returns undefined where the caller traces nothing, or says so in a way that others could read otherwise */
export function readTrace(headers: IncomingHttpHeaders): Trace | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string') return undefined;
  const [, first, traceId, flags, more] = traceparentPattern.exec(traceparent) ?? [];
  if (traceId === undefined || flags === undefined || (first !== undefined && more !== undefined)) return undefined;
  return {
    traceparent,
    tracestate: typeof tracestate === 'string' && isTracestate(tracestate) ? tracestate : undefined,
    traceId: inOnePiece(traceId),
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
  };
}

/** Whether the caller wants its request told of at level debug; the policy says whether it is. */
export function asksForDebug(headers: IncomingHttpHeaders): boolean {
  const sent = headers['x-opallama-debug'];
  return sent !== undefined && (sent === '1' || sent === 'true');
}

function isTracestate(text: string): boolean {
  return text.length <= longestTracestate && tracestatePattern.test(text);
}
