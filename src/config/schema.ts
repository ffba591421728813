/**
 * The members of the configuration, their defaults and what each takes. Spelled as in YAML; each section's transform
 * gives the spelling and the units of `Config`. `docs/schemas/config.json` is made from here.
 */
import { z } from 'zod';
import { admin } from './admin-schema.ts';
import { audit } from './audit-schema.ts';
import { address, duration, parsed, size } from './fields.ts';
import { identity } from './identity-schema.ts';
import { management } from './management-schema.ts';
import { isLoopback } from './ollama-host.ts';
import { parseOrigin } from './origin.ts';
import { policy } from './policy-schema.ts';
import { listenTls, upstreamTls } from './tls-schema.ts';
import { isHostName, parseBaseUrl, quote, UnitError } from './units.ts';

/** JavaScript can't hold a string of more than 512 MiB, and a body is one for a moment. */
const largestBody = 512 * 1024 * 1024 - 1024;

const listen = z
  .strictObject({
    data: address().prefault('0.0.0.0:8080').describe('Where the proxied APIs are served.'),
    ops: address().prefault('0.0.0.0:9464').describe('Where /metrics, /healthz and /readyz are served.'),
    admin: address()
      .refine(({ host }) => isLoopback(host), {
        error:
          'must be 127.0.0.1, [::1] or localhost: it speaks plain HTTP; from elsewhere use kubectl or ssh to forward it',
      })
      .prefault('127.0.0.1:9191')
      .describe('Where the admin API is served, if admin has a token.'),
    hosts: z
      .array(
        z.string().refine(isHostName, { error: 'must be a host name or an address, without a port' }).toLowerCase(),
      )
      .default([])
      .describe('Names allowed in Host, beside addresses and localhost, where anonymous callers are.'),
    tls: listenTls.optional(),
  })
  .prefault({});

const upstream = z
  .strictObject({
    base_url: parsed((value) => parseBaseUrl(String(value)), 'a URL such as http://127.0.0.1:11434')
      .optional()
      .describe('Where Ollama answers. Default: OLLAMA_BASE_URL, else OLLAMA_HOST, else http://127.0.0.1:11434.'),
    tls: upstreamTls.optional(),
    readiness: z
      .enum(['required', 'ignored'])
      .default('ignored')
      .describe('Whether /readyz says no while the upstream does not answer.'),
    check_every: duration()
      .refine((ms) => ms >= 100, { error: 'must be at least 100ms' })
      .prefault('5s')
      .describe('Between two looks whether it answers, where readiness asks for that.'),
  })
  .prefault({})
  .transform((value) => ({
    baseUrl: value.base_url,
    tls: value.tls,
    readiness: value.readiness,
    checkEvery: value.check_every,
  }));

const cors = z
  .strictObject({
    origins: z
      .array(parsed(parseOrigin, 'an origin such as https://ui.example'))
      .max(256)
      .default([])
      .describe('Origins of web pages that may call, each as browsers send it: scheme, host and port.'),
  })
  .prefault({});

/** The same plain form that the path of a request must have. */
function parsePrefix(value: string | number): string {
  const text = String(value).replace(/(?<=.)\/$/, '');
  const segments = text.split('/').slice(1);
  if (!text.startsWith('/') || text === '/') throw new UnitError(`${quote(value)} must begin with "/" and name a path`);
  if (!segments.every((segment) => /^[A-Za-z0-9._~-]+$/.test(segment) && !/^\.\.?$/.test(segment))) {
    throw new UnitError(`${quote(value)} must be plain: letters, digits and ._~- between slashes`);
  }
  return text;
}

const prefixes = z
  .array(parsed(parsePrefix, 'a path such as /ollama'))
  .max(32)
  .prefault(['/api/v1/ollama', '/ollama'])
  .describe('Path prefixes under which the routes are served too, beside the root.');

const timeouts = z
  .strictObject({
    connect: duration().prefault('2s').describe('Until the upstream takes the connection.'),
    first_byte: duration().prefault('300s').describe("Until the answer's first byte; a model may have to be loaded."),
    idle: duration().prefault('60s').describe('Between two parts of an answer.'),
    total: duration().prefault('0s').describe('From the hand-over to Ollama to the end of its answer; 0s means none.'),
    headers: duration().prefault('10s').describe("Until the request's headers are there."),
    body: duration().prefault('60s').describe("Until the request's body is there."),
  })
  .prefault({})
  .transform(({ first_byte: firstByte, ...rest }) => ({ ...rest, firstByte }));

const limits = z
  .strictObject({
    body: size().prefault('32MiB').describe('Of one request.'),
    bodies_total: size().prefault('256MiB').describe('Of all requests held at once.'),
    blob: size().prefault('64GiB').describe('Of one uploaded blob, which is not held.'),
    headers: size().prefault('16KiB').describe('Of one request.'),
    in_flight: z.int().min(1).max(1_000_000).default(4096).describe('Requests at once.'),
  })
  .prefault({})
  .refine((value) => value.body <= largestBody, { path: ['body'], error: 'must be less than 512MiB' })
  .refine((value) => value.body <= value.bodies_total, {
    path: ['bodies_total'],
    error: 'must be at least limits.body',
  })
  .transform((value) => ({
    body: value.body,
    bodiesTotal: value.bodies_total,
    blob: value.blob,
    headers: value.headers,
    inFlight: value.in_flight,
  }));

const shutdown = z
  .strictObject({
    delay: duration()
      .prefault('5s')
      .describe('After SIGTERM, for which requests are still taken: others learn late that it is not ready.'),
    grace: duration().prefault('20s').describe('Behind the delay, for requests in flight; what is left then is cut.'),
  })
  .prefault({});

const log = z
  .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info') })
  .prefault({});

const workers = z
  .int()
  .min(1)
  .max(64, { error: 'must be at most 64' })
  .default(1)
  .describe('Processes that serve requests, beside one that oversees them; 1: one process does both.');

export const configSchema = z.strictObject({
  workers,
  listen,
  upstream,
  cors,
  prefixes,
  policy,
  identity,
  timeouts,
  limits,
  audit,
  admin,
  shutdown,
  management,
  log,
});

/**
 * The schema as JSON Schema: what `scripts/write-config-schema.ts` puts into `docs/schemas/config.json`, for editors and for
 * finding a member by its path. Read the file where it is needed: to make it takes a start 20 ms.
 */
export function describeConfigSchema() {
  return z.toJSONSchema(configSchema, { io: 'input' });
}
