import { createHash, timingSafeEqual } from 'node:crypto';
import type { AdminToken } from '../../configured/config.ts';
import { RequestError } from '../../errors.ts';

const longestToken = 4096;

/**
 * Who acts, by the bearer token. A pod's containers share the loopback, so that a caller is on this machine says nothing.
 *
 * @returns the token
 * @throws RequestError `missing_credentials`, `conflicting_credentials`, `invalid_credentials`
 */
export function createAuthenticate(tokens: readonly AdminToken[]): (rawHeaders: readonly string[]) => AdminToken {
  return function authenticate(rawHeaders) {
    const sent = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === 'authorization');
    const [header] = sent;
    if (header === undefined) throw refuse('missing_credentials', 'Send the admin token: "Authorization: Bearer".');
    if (sent.length > 1) throw refuse('conflicting_credentials', undefined);
    const token = /^bearer +(\S+) *$/i.exec(header)?.[1];
    if (token === undefined || token.length > longestToken) throw refuse('invalid_credentials', undefined);
    // Hashes have one length, and every one is compared: how long it takes tells nothing of any token.
    const digest = createHash('sha256').update(token, 'latin1').digest();
    let who: AdminToken | undefined;
    for (const token of tokens) if (timingSafeEqual(token.sha256, digest)) who = token;
    if (who === undefined) throw refuse('invalid_credentials', 'This is no admin token of this sidecar.');
    return who;
  };
}

function refuse(
  code: 'missing_credentials' | 'conflicting_credentials' | 'invalid_credentials',
  message: string | undefined,
): RequestError {
  return new RequestError(code, message, { headers: { 'www-authenticate': 'Bearer' } });
}
