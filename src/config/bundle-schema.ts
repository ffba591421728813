/** The section `policy.bundle`: how the bundle is got where `policy.path` is a URL. */
import { z } from 'zod';
import { duration, name, parsed, size } from './fields.ts';
import { parseServerName } from './tls-schema.ts';

const tls = z
  .strictObject({
    ca_file: name().optional().describe("The only authorities in PEM that may vouch for the server. Default: Node's."),
    cert_file: name().optional().describe('A certificate in PEM to present to the server.'),
    key_file: name().optional().describe('Its private key in PEM, not encrypted.'),
    server_name: parsed(parseServerName, 'a host name')
      .optional()
      .describe("The name that the server's certificate must have. Default: the host of policy.path."),
  })
  .refine((value) => (value.cert_file === undefined) === (value.key_file === undefined), {
    error: 'cert_file and key_file go together',
  })
  .transform((value) => ({ serverName: value.server_name }))
  .describe('How a server with https:// is verified.');

export const bundle = z
  .strictObject({
    token_env: name().optional().describe('The variable that holds the bearer token for the server.'),
    token_file: name().optional().describe('The file that holds it, read anew each time.'),
    tls: tls.optional(),
    poll: duration()
      .prefault('60s')
      .refine((ms) => ms >= 100, { error: 'must be at least 100ms' })
      .describe('Between two questions whether there is a new bundle; varied by a fifth either way.'),
    long_poll: duration()
      .prefault('0s')
      .describe(
        'How long the server may wait for a new bundle before it answers, where it can; 0s does not ask it to.',
      ),
    timeout: duration()
      .prefault('30s')
      .refine((ms) => ms > 0, { error: 'a download needs an end; write a duration such as 30s' })
      .describe('For one download.'),
    size: size().prefault('64MiB').describe('Of a bundle as it is downloaded.'),
  })
  .refine((value) => value.token_env === undefined || value.token_file === undefined, {
    path: ['token_file'],
    error: 'one token; remove it or token_env',
  })
  .transform(({ tls: secured, long_poll: longPoll, poll, timeout, size: most }) => ({
    tls: secured,
    longPoll,
    poll,
    timeout,
    size: most,
  }))
  .describe('How the bundle is got, where policy.path is a URL.');
