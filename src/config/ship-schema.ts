/** The sections `audit.syslog` and `audit.otlp`: where records are shipped to. */
import { z } from 'zod';
import type { SyslogTarget } from '../configured/ship.ts';
import { duration, name, parsed } from './fields.ts';
import { isLoopback } from './ollama-host.ts';
import { parseServerName } from './tls-schema.ts';
import { isHostName, parseBaseUrl, quote, UnitError } from './units.ts';

/** RFC 5424, table 1; those that a service may use. */
const syslogFacilities: Readonly<Record<string, number>> = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  audit: 13,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

/** RFC 5425 section 4.1, RFC 5426 section 3.3; for plain TCP the one that receivers use. */
const ports = { tls: 6514, udp: 514, tcp: 601 } as const;

/** `tls://host:6514`, `tcp://host:601`, `udp://host:514`, `unix:///run/syslog.sock` */
export function parseSyslogUrl(value: string | number): { readonly url: string; readonly target: SyslogTarget } {
  const text = String(value);
  const socket = /^unix:\/\/(\/[^\s?#]+)$/.exec(text)?.[1];
  if (socket !== undefined) return { url: text, target: { transport: 'unix', path: socket } };
  const match = /^(tcp|tls|udp):\/\/(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?\/?$/.exec(text);
  const [, scheme, address, plain = '', digits] = match ?? [];
  const transport = (['tcp', 'tls', 'udp'] as const).find((each) => each === scheme);
  const host = address ?? plain;
  if (transport === undefined || (address === undefined && !isHostName(host)))
    throw new UnitError(`${quote(value)} is no syslog receiver; write tls://logs.example:6514`);
  const port = digits === undefined ? ports[transport] : Number(digits);
  if (port < 1 || port > 65_535) throw new UnitError(`${quote(value)}: a port is from 1 to 65535`);
  return { url: text, target: { transport, host, port } };
}

const bufferEvents = () =>
  z
    .int()
    .min(100)
    .max(1_000_000)
    .default(10_000)
    .describe('Records that wait at most, some 3 KB each; the oldest is lost for a new one, and counted.');

const tls = (members: string) =>
  z
    .strictObject({
      ca_file: name().optional().describe("The only authorities in PEM that may vouch for it. Default: Node's."),
      cert_file: name().optional().describe('A certificate in PEM to present to it.'),
      key_file: name().optional().describe('Its private key in PEM, not encrypted.'),
      server_name: parsed(parseServerName, 'a host name')
        .optional()
        .describe('The name that its certificate must have. Default: the host of url.'),
    })
    .refine((value) => (value.cert_file === undefined) === (value.key_file === undefined), {
      error: 'cert_file and key_file go together',
    })
    .transform((value) => ({ serverName: value.server_name }))
    .describe(members);

const allowPlain = () =>
  z
    .boolean()
    .default(false)
    .describe('Unsecured to elsewhere than this machine: whoever sees it sees who asked for what.');

export const syslog = z
  .strictObject({
    url: parsed(parseSyslogUrl, 'a receiver such as tls://logs.example:6514').describe(
      'The receiver: tls://, tcp:// or udp:// with host and port, or unix:// with the path of a stream socket.',
    ),
    tls: tls('How a receiver with tls:// is verified.').optional(),
    facility: z
      .enum(Object.keys(syslogFacilities))
      .prefault('local0')
      .transform((facility) => ({ name: facility, code: syslogFacilities[facility] ?? 0 }))
      .describe('Of each message.'),
    hostname: z
      .string()
      .regex(/^[!-~]{1,255}$/, { error: 'must be printable ASCII without blanks' })
      .optional()
      .describe("The sender in each message. Default: the machine's name."),
    buffer_events: bufferEvents(),
    allow_plain: allowPlain(),
  })
  .refine(({ url: { target }, allow_plain: allowed }) => allowed || isSafe(target), {
    path: ['url'],
    error: 'leaves this machine unsecured; use tls://, or say allow_plain: true',
  })
  .refine(({ url: { target }, tls: section }) => section === undefined || target.transport === 'tls', {
    path: ['tls'],
    error: 'needs a url that begins with tls://',
  });

function isSafe(target: SyslogTarget): boolean {
  return target.transport === 'unix' || target.transport === 'tls' || isLoopback(target.host);
}

/** As OpenTelemetry's exporters do with an endpoint without a path. */
function parseOtlpUrl(value: string | number): URL {
  const url = parseBaseUrl(String(value));
  if (url.pathname === '/') url.pathname = '/v1/logs';
  return url;
}

export const otlp = z
  .strictObject({
    url: parsed(parseOtlpUrl, 'a URL such as https://collector.example:4318').describe(
      'The collector, OTLP over HTTP in JSON; /v1/logs where there is no path.',
    ),
    token_env: name().optional().describe('The variable that holds a bearer token for it.'),
    token_file: name().optional().describe('The file that holds it, read anew each time.'),
    tls: tls('How a collector with https:// is verified.').optional(),
    resource: z
      .record(z.string().regex(/^[\w.-]{1,128}$/), z.string().max(256))
      .default({})
      .describe('Attributes of the resource, such as service.namespace, beside those that are always there.'),
    buffer_events: bufferEvents(),
    timeout: duration()
      .prefault('10s')
      .refine((ms) => ms > 0, { error: 'a request needs an end; write a duration such as 10s' })
      .describe('For one request.'),
    allow_plain: allowPlain(),
  })
  .refine(({ url, allow_plain: allowed }) => allowed || url.protocol === 'https:' || isLoopback(url.hostname), {
    path: ['url'],
    error: 'leaves this machine unsecured; use https://, or say allow_plain: true',
  })
  .refine(({ url, tls: section }) => section === undefined || url.protocol === 'https:', {
    path: ['tls'],
    error: 'needs a url that begins with https://',
  });
