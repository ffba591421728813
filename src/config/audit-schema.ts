/** The section `audit`: where records go, and how the file of them is kept. */
import { z } from 'zod';
import { duration, name, parsed, size } from './fields.ts';
import { isLoopback } from './ollama-host.ts';
import { otlp, syslog } from './ship-schema.ts';
import { parseBaseUrl, UnitError } from './units.ts';

/** Heads show what somebody did to the file: on the way they must not be what he can change too. */
function parseSink(value: string | number): URL {
  const url = parseBaseUrl(String(value));
  if (url.protocol !== 'https:' && !isLoopback(url.hostname))
    throw new UnitError('must begin with https://, unless it is on this machine');
  return url;
}

const rotate = z
  .strictObject({
    size: size().prefault('64MiB').describe('A file that has so many bytes is put aside for the next one.'),
    every: duration().prefault('24h').describe('Likewise one that is so old; 0s: by size alone.'),
  })
  .prefault({});

const keep = z
  .strictObject({
    days: z
      .int()
      .min(0)
      .max(36_500)
      .default(0)
      .describe('Files put aside that were last written earlier are deleted; 0: none.'),
    size: size().optional().describe('Of all files; the oldest are deleted until the rest fits. Absent: all are kept.'),
  })
  .prefault({});

const heads = z
  .strictObject({
    key_env: name().optional().describe('The variable that holds the private key, Ed25519 in PEM.'),
    key_file: name().optional().describe('The file that holds it.'),
    every: duration().prefault('60s').describe('Between two heads, where anything was written.'),
    stdout: z.boolean().default(false).describe('Write them to standard output.'),
    file: name().optional().describe('Append them to this file, on another disk or host.'),
    url: parsed(parseSink, 'a URL that begins with https://').optional().describe('POST each of them there.'),
    token_env: name().optional().describe('The variable that holds a bearer token for url.'),
    token_file: name().optional().describe('The file that holds it.'),
  })
  .refine((value) => value.every >= 1000, { path: ['every'], error: 'must be at least 1s' });

export const audit = z
  .strictObject({
    stdout: z.boolean().default(true).describe('One line a request on standard output.'),
    file: name().optional().describe('Two lines a request in this file, chained. Absent: none.'),
    durability: z
      .enum(['async', 'strict'])
      .default('async')
      .describe('strict: a request is forwarded once its line is on disk.'),
    on_failure: z
      .enum(['refuse', 'continue'])
      .optional()
      .describe(
        'What becomes of requests while the file can not be written. Default: refuse if strict, else continue.',
      ),
    rotate,
    keep,
    heads: heads.optional(),
    syslog: syslog.optional(),
    otlp: otlp.optional(),
  })
  .prefault({});
