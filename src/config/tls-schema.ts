/** The sections `listen.tls` and `upstream.tls`. There is no member that switches verification off: see docs/tls.md. */
import { z } from 'zod';
import { name, parsed } from './fields.ts';
import { isHostName, quote, UnitError } from './units.ts';

export const listenTls = z
  .strictObject({
    cert_file: name().describe('The certificate in PEM, then those that signed it.'),
    key_file: name().describe('Its private key in PEM, not encrypted.'),
    client_ca_file: name().optional().describe('The authorities in PEM that may vouch for callers.'),
    client_auth: z
      .enum(['require', 'request'])
      .optional()
      .describe('Whether a caller must present a certificate; require where client_ca_file is set.'),
    min_version: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
  })
  .refine((value) => value.client_auth === undefined || value.client_ca_file !== undefined, {
    path: ['client_auth'],
    error: 'needs client_ca_file, by which certificates of callers are verified',
  })
  .transform((value) => ({
    clientAuth: value.client_ca_file === undefined ? undefined : (value.client_auth ?? ('require' as const)),
    minVersion: value.min_version,
  }))
  .describe('Serve the data listener over TLS.');

/** The name is looked for in a certificate, where no port stands. */
export function parseServerName(value: string | number): string {
  const text = String(value);
  if (!isHostName(text) || /^[\d.]+$/.test(text)) throw new UnitError(`${quote(value)} is not a host name`);
  return text.toLowerCase();
}

export const upstreamTls = z
  .strictObject({
    ca_file: name()
      .optional()
      .describe("The only authorities in PEM that may vouch for the upstream. Default: Node's."),
    cert_file: name().optional().describe('A certificate in PEM to present to the upstream.'),
    key_file: name().optional().describe('Its private key in PEM, not encrypted.'),
    server_name: parsed(parseServerName, 'a host name')
      .optional()
      .describe("The name that the upstream's certificate must have. Default: the host of base_url."),
  })
  .refine((value) => value.cert_file === undefined || value.key_file !== undefined, {
    path: ['cert_file'],
    error: 'needs key_file, the private key of the certificate',
  })
  .refine((value) => value.key_file === undefined || value.cert_file !== undefined, {
    path: ['key_file'],
    error: 'needs cert_file, the certificate of the key',
  })
  .transform((value) => ({ serverName: value.server_name }))
  .describe('How an upstream with https:// is verified.');
