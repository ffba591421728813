import type { IncomingMessage } from 'node:http';

/** Node's client keeps 2,000 headers and drops the rest in silence; half of that is more than anybody sends. */
const mostHeaderParts = 2000;

/**
 * Whether an answer can be passed on as what it is. Node's parser takes more than HTTP allows, and what it says of the body
 * in headers that do not pass (`src/upstream/headers.ts`) would be lost on the client.
 */
export function isAnswerable(answer: IncomingMessage): boolean {
  const { statusCode = 0, httpVersion, headers, rawHeaders } = answer;
  // RFC 9110, 15: three digits, and the first of them from 2 to 5 once an answer is final.
  if (statusCode < 200 || statusCode > 599) return false;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return false;
  if (rawHeaders.length >= mostHeaderParts) return false;
  // RFC 9112, 6.1: nothing but chunked is taken off on the way, and HTTP/1.0 has no codings.
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) return false;
  // None was asked for: `accept-encoding` does not go to the upstream.
  return headers['content-encoding'] === undefined;
}
