/** The section `management`: OPA's management APIs, as OPA's own configuration names them. */
import { z } from 'zod';
import { isPlainResource } from '../service-bundle.ts';
import { duration, name, parsed, size } from './fields.ts';
import { isLoopback } from './ollama-host.ts';
import { snapshotSignature } from './signature-schema.ts';
import { parseServerName } from './tls-schema.ts';
import { parseBaseUrl, quote, UnitError } from './units.ts';

const mebibyte = 1024 * 1024;

export function parseResource(value: string | number): string {
  const text = String(value).replace(/^\//, '');
  if (!isPlainResource(text))
    throw new UnitError(`${quote(value)} is no path below the URL of the service; write bundles/authz.tar.gz`);
  return text;
}

const resource = () => parsed(parseResource, 'a path such as bundles/authz.tar.gz');
const label = () => z.string().max(256);
const service = () =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, { error: 'must be the name of a service, such as control' });

/** Goes into file names and into OPA's own documents. */
export const bundleName = () =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, { error: 'must be the name of a bundle, such as authz' });

const tls = z
  .strictObject({
    ca_file: name().optional().describe("The only authorities in PEM that may vouch for the service. Default: Node's."),
    cert_file: name().optional().describe('A certificate in PEM to present to the service.'),
    key_file: name().optional().describe('Its private key in PEM, not encrypted.'),
    server_name: parsed(parseServerName, 'a host name')
      .optional()
      .describe("The name that the service's certificate must have. Default: the host of url."),
  })
  .refine((value) => (value.cert_file === undefined) === (value.key_file === undefined), {
    error: 'cert_file and key_file go together',
  })
  .transform((value) => ({ serverName: value.server_name }))
  .describe('How a service with https:// is verified.');

const services = z
  .array(
    z
      .strictObject({
        name: service().describe('By which the sections below name it.'),
        url: parsed((value) => parseBaseUrl(String(value)), 'a URL such as https://control.example/v1').describe(
          'What the paths of its APIs are appended to.',
        ),
        token_env: name().optional().describe('The variable that holds the bearer token for it.'),
        token_file: name().optional().describe('The file that holds it, read anew each time.'),
        tls: tls.optional(),
        allow_http: z
          .boolean()
          .default(false)
          .describe('Plain HTTP to elsewhere than this machine: whoever sees it sees the token and every event.'),
        timeout: duration()
          .prefault('10s')
          .refine((ms) => ms > 0, { error: 'a request needs an end; write a duration such as 10s' })
          .describe('For one report or upload.'),
      })
      .refine((value) => value.token_env === undefined || value.token_file === undefined, {
        path: ['token_file'],
        error: 'one token; remove it or token_env',
      })
      .refine((value) => value.tls === undefined || value.url.protocol === 'https:', {
        path: ['tls'],
        error: 'needs a url that begins with https://',
      })
      .refine(
        (value) =>
          value.url.protocol === 'https:' || value.allow_http || isLoopback(value.url.hostname.replace(/^\[|\]$/g, '')),
        {
          path: ['url'],
          error: 'must begin with https://; or set allow_http: true, where nobody else can listen',
        },
      )
      .transform(({ allow_http: allowHttp, ...rest }) => ({ ...rest, allowHttp })),
  )
  .max(16, { error: 'must be at most 16 services' })
  .default([])
  .describe('Control planes: where bundles, discovery, status and decision logs are.');

const poll = {
  poll: duration()
    .prefault('60s')
    .refine((ms) => ms >= 100, { error: 'must be at least 100ms' })
    .describe('Between two questions whether there is a new one; varied by a fifth either way.'),
  long_poll: duration()
    .prefault('0s')
    .describe('How long the service may wait for a new one before it answers; 0s does not ask it to.'),
  timeout: duration()
    .prefault('30s')
    .refine((ms) => ms > 0, { error: 'a download needs an end; write a duration such as 30s' })
    .describe('For one download.'),
  size: size().prefault('64MiB').describe('Of one as it is downloaded.'),
};

const bundles = z
  .array(
    z
      .strictObject({
        name: bundleName().describe('By which policy.path names it: bundle:authz.'),
        service: service().describe('The service that has it.'),
        resource: resource().optional().describe("Its path below the service's URL. Default: bundles/ and its name."),
        ...poll,
      })
      .transform(({ long_poll: longPoll, ...rest }) => ({ ...rest, longPoll })),
  )
  .max(16, { error: 'must be at most 16 bundles' })
  .default([])
  .describe('Bundles of services.');

const status = z
  .strictObject({
    service: service().describe('That is told.'),
    partition_name: resource().optional().describe('Appended to /status.'),
    interval: duration()
      .prefault('60s')
      .refine((ms) => ms >= 100, { error: 'must be at least 100ms' })
      .describe('Between two reports where nothing changes.'),
  })
  .transform(({ partition_name: partition, ...rest }) => ({ ...rest, partition }))
  .describe('What decides, and what went wrong, is told to a service.');

export const decisionLogs = z
  .strictObject({
    service: service().describe('That gets them.'),
    resource: resource().prefault('logs').describe("The path below the service's URL."),
    upload_size: size()
      .prefault('32KiB')
      .refine((bytes) => bytes >= 1024 && bytes <= 64 * mebibyte, { error: 'must be from 1KiB to 64MiB' })
      .describe('Of one upload, compressed.'),
    buffer_events: z.int().min(1).max(1_000_000).default(10_000).describe('Decisions that wait at most.'),
    min_delay: duration()
      .prefault('5s')
      .refine((ms) => ms >= 10, { error: 'must be at least 10ms' })
      .describe('Between two uploads, where none is full.'),
    max_delay: duration()
      .prefault('10s')
      .refine((ms) => ms >= 10, { error: 'must be at least 10ms' })
      .describe('Between two uploads, and between two attempts.'),
    shutdown: duration().prefault('3s').describe('For what is left when the sidecar ends.'),
  })
  .refine((value) => value.min_delay <= value.max_delay, {
    path: ['max_delay'],
    error: 'must be at least min_delay',
  })
  .transform((value) => ({
    service: value.service,
    resource: value.resource,
    uploadSize: value.upload_size,
    bufferEvents: value.buffer_events,
    minDelay: value.min_delay,
    maxDelay: value.max_delay,
    shutdown: value.shutdown,
  }))
  .describe('Decisions are sent to a service.');

const discovery = z
  .strictObject({
    service: service().describe('That has the discovery bundle.'),
    resource: resource().describe("The bundle's path below the service's URL."),
    decision: parsed((value) => {
      const text = String(value).replace(/^\//, '');
      if (!/^[^\s/]+(\/[^\s/]+)*$/.test(text))
        throw new UnitError(`${quote(value)} is no path; write a/b for data.a.b`);
      return text;
    }, 'a path such as discovery/config')
      .optional()
      .describe('Where in the bundle the configuration is, with slashes. Default: all of its data.'),
    state_dir: name().describe('A directory of this sidecar alone, in which the last good one is kept.'),
    signature: snapshotSignature.optional(),
    ...poll,
  })
  .transform(({ state_dir: stateDir, long_poll: longPoll, ...rest }) => ({ ...rest, stateDir, longPoll }))
  .describe('A bundle that says which bundles decide and where status and decisions go.');

export const management = z
  .strictObject({
    labels: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_./-]{0,63}$/, { error: 'must be the name of a label' }), label())
      .default({})
      .describe('Stand in every report and event.'),
    services,
    bundles,
    status: status.optional(),
    decision_logs: decisionLogs.optional(),
    discovery: discovery.optional(),
  })
  .optional()
  .transform((value) => {
    if (value === undefined) return undefined;
    const { decision_logs: decisionLogging, ...rest } = value;
    return { ...rest, decisionLogs: decisionLogging };
  });
