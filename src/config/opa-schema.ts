/** The section `policy.opa`: the remote OPA that the engine `opa` asks. */
import { z } from 'zod';
import { duration, name, parsed } from './fields.ts';
import { parseServerName } from './tls-schema.ts';
import { parseBaseUrl, quote, UnitError } from './units.ts';

/** `unix:///run/opa.sock`, or a URL as of the upstream. */
function parseOpaUrl(value: string | number): { readonly url: URL; readonly socket: string | undefined } {
  const text = String(value);
  if (!/^unix:/i.test(text)) return { url: parseBaseUrl(text), socket: undefined };
  const path = /^unix:(?:\/\/)?(\/[^/?#\s%]+(?:\/[^/?#\s%]+)*)$/.exec(text)?.[1];
  if (path === undefined) {
    throw new UnitError(`${quote(value)} names no Unix socket; write its absolute path: unix:///run/opa.sock`);
  }
  return { url: new URL('http://localhost'), socket: path };
}

const tls = z
  .strictObject({
    ca_file: name().optional().describe("The only authorities in PEM that may vouch for OPA. Default: Node's."),
    cert_file: name().optional().describe('A certificate in PEM to present to OPA.'),
    key_file: name().optional().describe('Its private key in PEM, not encrypted.'),
    server_name: parsed(parseServerName, 'a host name')
      .optional()
      .describe("The name that OPA's certificate must have. Default: the host of url."),
  })
  .refine((value) => (value.cert_file === undefined) === (value.key_file === undefined), {
    error: 'cert_file and key_file go together',
  })
  .transform((value) => ({ serverName: value.server_name }))
  .describe('How an OPA with https:// is verified.');

export const opa = z
  .strictObject({
    url: parsed(parseOpaUrl, 'a URL such as http://127.0.0.1:8181 or unix:///run/opa.sock')
      .prefault('http://127.0.0.1:8181')
      .describe('Where OPA answers.'),
    token_env: name().optional().describe('The variable that holds the bearer token for OPA.'),
    token_file: name().optional().describe('The file that holds it.'),
    tls: tls.optional(),
    timeout: duration()
      .refine((ms) => ms > 0, { error: 'a decision needs an end; write a duration such as 500ms' })
      .optional()
      .describe('Until the decision is there; past it the request is denied. Default: policy.deadline.'),
    circuit_breaker: z
      .strictObject({
        failures: z.int().min(1).max(1000).default(5).describe('In a row, after which OPA is not asked any more.'),
        reset: duration()
          .prefault('1s')
          .refine((ms) => ms > 0, { error: 'must be longer than that' })
          .describe('Between two looks whether OPA is back.'),
      })
      .prefault({}),
    reads: z
      .array(name())
      .max(100)
      .optional()
      .describe('The members of the input that its policy reads. Default: all.'),
  })
  .refine((value) => value.token_env === undefined || value.token_file === undefined, {
    path: ['token_file'],
    error: 'one token; remove it or token_env',
  })
  .refine((value) => value.tls === undefined || value.url.url.protocol === 'https:', {
    path: ['tls'],
    error: 'needs a url that begins with https://',
  })
  .prefault({})
  .transform(({ url, tls: secured, timeout, circuit_breaker: circuitBreaker, reads }) => ({
    ...url,
    tls: secured,
    timeout,
    circuitBreaker,
    reads,
  }))
  .describe('The remote OPA that the engine opa asks.');
