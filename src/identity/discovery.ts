/** Where an issuer's keys are: configured, or said by its OpenID configuration (OpenID Connect Discovery 1.0, section 4). */
import { z } from 'zod';

import { type GetOptions, getDocument } from './get-document.ts';

const configuration = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** Section 4.1: the path of an issuer stays before the well-known one, its slash at the end does not. */
export function configurationUrl(issuer: string): URL {
  return new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
}

/**
 * @param get gets a document
 * @returns the URL of the keys; it may have another host than the issuer, which vouches for it by its certificate
 * @throws Error where the document is none, or is another issuer's (section 4.3: the two must be the very same text)
 */
export async function discoverKeys(issuer: string, options: GetOptions, get = getDocument): Promise<URL> {
  const url = configurationUrl(issuer);
  const fault = (what: string): Error => new Error(`${url.href} ${what}`);
  const parsed = configuration.safeParse((await get(url, options)).value);
  if (!parsed.success) throw fault('is no OpenID configuration: it needs "issuer" and "jwks_uri"');
  if (parsed.data.issuer !== issuer)
    throw fault(
      `names the issuer ${JSON.stringify(parsed.data.issuer.slice(0, 200))}, which is not the configured one`,
    );
  const keys = URL.parse(parsed.data.jwks_uri);
  if (keys?.protocol !== 'https:') throw fault('names a jwks_uri that is no https URL');
  return keys;
}
