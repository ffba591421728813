/**
 * Finds the credential in a request's headers. It is read from the raw list because Node keeps only the first of several
 * `Authorization` headers, and another reader might keep the last.
 */
import { RequestError } from '../errors.ts';

export interface Credential {
  /** How it was sent. `other`: an `Authorization` header of a scheme that is not Bearer. */
  readonly scheme: 'bearer' | 'api_key' | 'other';
  readonly value: string;
}

/** RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1). */
const bearer = /^bearer +([^ ]+) *$/i;

/**
 * @param rawHeaders names and values in turn, as Node gives them
 * @returns the credential, or undefined where none was sent
 * @throws RequestError `conflicting_credentials` for two that differ
 */
export function readCredential(rawHeaders: readonly string[]): Credential | undefined {
  let found: Credential | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name !== 'authorization' && name !== 'x-api-key') continue;
    const credential = readHeader(name, rawHeaders[i + 1] ?? '');
    if (found !== undefined && found.value !== credential.value) throw new RequestError('conflicting_credentials');
    found ??= credential;
  }
  return found;
}

function readHeader(name: 'authorization' | 'x-api-key', value: string): Credential {
  if (name === 'x-api-key') return { scheme: 'api_key', value: value.trim() };
  const token = bearer.exec(value)?.[1];
  return token === undefined ? { scheme: 'other', value } : { scheme: 'bearer', value: token };
}
