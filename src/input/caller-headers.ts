import { RequestError } from '../errors.ts';

const metadataPrefix = 'x-opallama-metadata-';

export interface CallerHeaders {
  readonly userAgent: string | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The headers that go into the input.
 *
 * @param fromBody the body's `metadata`; a hint that stands in both places, or twice, has no one meaning
 * @throws RequestError `invalid_member`
 */
export function readCallerHeaders(
  rawHeaders: readonly string[],
  fromBody: Readonly<Record<string, unknown>> | undefined,
): CallerHeaders {
  let userAgent: string | undefined;
  let hints: Map<string, unknown> | undefined;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? '';
    if (name === 'user-agent') {
      userAgent ??= rawHeaders[index + 1];
    } else if (name.startsWith(metadataPrefix)) {
      hints ??= new Map(Object.entries(fromBody ?? {}));
      const hint = name.slice(metadataPrefix.length).replaceAll('-', '_');
      if (hints.has(hint)) throw new RequestError('invalid_member', 'A metadata hint is given twice.');
      hints.set(hint, rawHeaders[index + 1]);
    }
  }
  // fromEntries defines members, so a hint called __proto__ is one like any other.
  return { userAgent, metadata: hints === undefined ? fromBody : Object.fromEntries(hints) };
}
