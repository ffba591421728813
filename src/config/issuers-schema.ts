/** The list `identity.issuers`: issuers of tokens that publish their keys. */
import { z } from 'zod';

import { claims } from './claims-schema.ts';
import { duration, name, parsed } from './fields.ts';
import { parseServerName } from './tls-schema.ts';
import { parseBaseUrl, quote, UnitError } from './units.ts';

/** Those of RFC 7518 section 3.1 whose keys can be published. */
const algorithm = z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']);

export function parseHttpsUrl(value: string | number): URL {
  const text = String(value);
  const url = URL.parse(text);
  if (url?.protocol !== 'https:' || /[\s\\#@]/.test(text))
    throw new UnitError(`${quote(value)} must be a URL that begins with https://, without user name and fragment`);
  return url;
}

const tls = z
  .strictObject({
    ca_file: name()
      .optional()
      .describe("The only authorities in PEM that may vouch for the issuer's server. Default: Node's."),
    server_name: parsed(parseServerName, 'a host name')
      .optional()
      .describe('The name that its certificate must have. Default: the host of the URL.'),
  })
  .transform((value) => ({ serverName: value.server_name }))
  .describe("How the issuer's server is verified.");

const atLeast = (ms: number, text: string) =>
  duration().refine((value) => value >= ms, { error: `must be at least ${text}` });
const issuer = z
  .strictObject({
    issuer: name().describe('The only accepted value of iss.'),
    audience: name().describe('Must be among the values of aud.'),
    algorithms: z
      .array(algorithm)
      .min(1)
      .describe('The only ones that its tokens may be signed with, whatever its keys or a token say.'),
    jwks_url: parsed(parseHttpsUrl, 'a URL that begins with https://')
      .optional()
      .describe('Where its keys are. Default: as its OpenID configuration says.'),
    tls: tls.optional(),
    claims,
    clock_tolerance: duration().prefault('0s').describe('Allowed difference of clocks, at most 5m.'),
    timeout: duration()
      .prefault('5s')
      .refine((ms) => ms >= 100 && ms <= 60_000, { error: 'must be from 100ms to 60s' })
      .describe('Of one question for its keys.'),
    refresh: atLeast(1_000, '1s')
      .prefault('5m')
      .describe('How often its keys are asked for where their answer has no Cache-Control.'),
    refresh_min: atLeast(1_000, '1s').prefault('30s').describe('Not more often, whatever Cache-Control says.'),
    refresh_max: atLeast(1_000, '1s').prefault('15m').describe('Not less often, whatever Cache-Control says.'),
    stale: atLeast(1_000, '1s')
      .prefault('24h')
      .describe('How long its keys hold while they can not be asked for again.'),
  })
  .refine((entry) => entry.clock_tolerance <= 300_000, { path: ['clock_tolerance'], error: 'must be at most 5m' })
  .refine((entry) => entry.refresh_min <= entry.refresh_max, {
    path: ['refresh_min'],
    error: 'must not be more than refresh_max',
  })
  .refine((entry) => entry.jwks_url !== undefined || isDiscoverable(entry.issuer), {
    path: ['issuer'],
    error: 'must be a URL that begins with https://, without a query, to find its keys by; else set jwks_url',
  })
  .transform((entry) => ({
    issuer: entry.issuer,
    audience: entry.audience,
    algorithms: entry.algorithms,
    jwksUrl: entry.jwks_url,
    claims: entry.claims,
    clockToleranceS: entry.clock_tolerance / 1_000,
    tls: entry.tls,
    timeout: entry.timeout,
    refresh: entry.refresh,
    refreshMin: entry.refresh_min,
    refreshMax: entry.refresh_max,
    stale: entry.stale,
  }));
export const issuers = z
  .array(issuer)
  .max(64)
  .default([])
  .superRefine((entries, context) => {
    for (const [index, entry] of entries.entries()) {
      const twin = entries.findIndex((other) => other.issuer === entry.issuer && other.audience === entry.audience);
      if (twin < index)
        context.addIssue({
          code: 'custom',
          path: [index, 'issuer'],
          message: `is, with this audience, identity.issuers[${twin}] too`,
        });
    }
  });

function isDiscoverable(issuer: string): boolean {
  try {
    return parseBaseUrl(issuer).protocol === 'https:';
  } catch {
    return false;
  }
}
