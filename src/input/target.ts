import { RequestError } from '../errors.ts';

export interface Target {
  /** Plain and canonical, the prefix taken off: what routes are matched with and what the upstream is asked for. */
  readonly path: string;
  /** As it came, with its question mark; empty where there is none. */
  readonly query: string;
  /** The configured prefix that was taken off; empty at the root. */
  readonly prefix: string;
}

/** Ollama's longest path has 30 characters; a signed query (`ts`) some 20. */
const maxLength = 8192;

/** Visible ASCII (RFC 3986 leaves nothing else unencoded). */
const visibleAscii = /^[!-~]*$/;

/** Clients escape the slashes and colons of a model's name where it is part of the path; nothing else may be escaped. */
const escapedModel = /^\/v1\/models\/(?:[\w.:-]|%2F|%3A)+$/i;

/** Two slashes, or a segment that is `.` or `..`: what a cleaning router reads as another path. */
const unclean = /\/(?:\/|\.{1,2}(?:\/|$))/;

/**
 * Reads a request target in origin form (RFC 9112, 3.2.1) in the only way that every reader agrees on. Ollama's router
 * decodes `%` and redirects unclean paths to clean ones, so both are refused instead of being followed; only in the
 * model's name of `/v1/models/{model}` may slashes and colons be escaped.
 *
 * @param rawUrl the target as Node gives it (`req.url`)
 * @param prefixes each beginning with a slash and not ending with one; at most one is taken off, the longest that fits
 * @throws RequestError `invalid_target`, `uri_too_long`; nothing else
 */
export function parseTarget(rawUrl: string, prefixes: readonly string[]): Target {
  if (rawUrl.length > maxLength) throw new RequestError('uri_too_long');
  const mark = rawUrl.indexOf('?');
  const rawPath = mark === -1 ? rawUrl : rawUrl.slice(0, mark);
  const query = mark === -1 ? '' : rawUrl.slice(mark);
  if (!rawPath.startsWith('/') || !visibleAscii.test(rawUrl) || rawUrl.includes('#')) {
    throw new RequestError('invalid_target');
  }
  if (rawPath.includes('\\') || unclean.test(rawPath)) throw new RequestError('invalid_target');

  let prefix = '';
  for (const candidate of prefixes) {
    const fits = rawPath === candidate || rawPath.startsWith(`${candidate}/`);
    if (fits && candidate.length > prefix.length) prefix = candidate;
  }
  const rest = rawPath.slice(prefix.length);
  if (rest.includes('%') && !escapedModel.test(rest)) throw new RequestError('invalid_target');
  return { path: rest === '' ? '/' : rest, query, prefix };
}
