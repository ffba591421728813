/**
 * Cross-origin calls from web pages (WHATWG Fetch, section 3.3 "CORS protocol"). Origins that are not configured never get
 * here: `checkHead` has refused them.
 *
 * There is no `Access-Control-Allow-Credentials`: a credential is a header that the page itself sets. What a browser adds
 * of its own accord, a cookie or a client certificate, is not lent to a page.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

import { routes } from '../input/routes.ts';

export interface Cors {
  /**
   * What every answer to this request carries, errors and denials included.
   *
   * @param origin the request's `Origin`
   */
  answerHeaders(origin: string | undefined): Readonly<Record<string, string>> | undefined;
}

/** What a page may read of an answer beside its body; `retry-after` because client libraries wait by it. */
const exposed = 'x-request-id, x-opallama-decision-id, x-opallama-reason, retry-after';

/** The same for every path: who has shown no credential learns nothing about routes. */
const methods = [...new Set(routes.flatMap((route) => route.methods))].join(', ');

/** How long a browser may remember a preflight, seconds. */
const maxAgeS = '600';

/** Names of headers between commas, as browsers write them (RFC 9110, 5.6.2), not longer than anybody needs. */
const headerNames = /^[\w!#$%&'*+.^`|~-]+(?: ?, ?[\w!#$%&'*+.^`|~-]+)*$/;
const longestNames = 2048;

export function createCors(origins: readonly string[]): Cors {
  const granted = new Map(
    origins.map((origin) => [
      origin,
      { 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed, vary: 'Origin' },
    ]),
  );
  // An answer to nobody's page must not be taken for one to a page by a cache.
  const toOthers = origins.length > 0 ? { vary: 'Origin' } : undefined;
  return {
    answerHeaders: (origin) => (origin === undefined ? toOthers : (granted.get(origin) ?? toOthers)),
  };
}

/** A browser's question, and not a request: `OPTIONS` of an origin that says which method it is about. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

/**
 * Answers a preflight. It is answered without a credential, as browsers send none with it, and never forwarded. The headers
 * that the page asks for are granted: what the upstream gets is decided by an allow-list and not here.
 *
 * @param headers of every answer to this request
 */
export function answerPreflight(
  request: IncomingMessage,
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
): void {
  const asked = request.headers['access-control-request-headers'];
  const names = asked !== undefined && asked.length <= longestNames && headerNames.test(asked) ? asked : undefined;
  response.writeHead(204, {
    ...headers,
    'access-control-allow-methods': methods,
    ...(names !== undefined && { 'access-control-allow-headers': names }),
    'access-control-max-age': maxAgeS,
  });
  response.end();
}
