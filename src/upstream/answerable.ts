import type { IncomingHttpHeaders } from 'node:http';

/** More than anybody sends. */
const mostHeaderParts = 2000;

/**
 * Whether an answer can be passed on as what it is. The parser takes more than HTTP allows, and what it says of the body
 * in headers that do not pass (`src/upstream/headers.ts`) would be lost on the client.
 *
 * @param parts names and values of headers, counted one by one
 */
export function isAnswerable(status: number, headers: IncomingHttpHeaders, parts: number): boolean {
  // RFC 9110, 15: three digits, and the first of them from 2 to 5 once an answer is final.
  if (status < 200 || status > 599) return false;
  if (parts >= mostHeaderParts) return false;
  // RFC 9112, 6.1: nothing but chunked is taken off on the way. Said twice it is a list.
  const coding: unknown = headers['transfer-encoding'];
  if (coding !== undefined && (typeof coding !== 'string' || coding.toLowerCase() !== 'chunked')) return false;
  // None was asked for: `accept-encoding` does not go to the upstream.
  return headers['content-encoding'] === undefined;
}
