/**
 * A request without a server: the listener, the pipeline and the policy as they serve, HTTP's parser included, but the
 * connection is a pair of streams in this process, and what would go to the upstream goes nowhere.
 */
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';

import type { Exit, RequestRecord } from './audit/record.ts';
import type { Config } from './configured/config.ts';
import { type ErrorCode, RequestError } from './errors.ts';
import { createDataListener } from './http/data-listener.ts';
import { createPipeline } from './http/pipeline.ts';
import { createSocketFaults } from './http/socket-faults.ts';
import type { Identify } from './identity/identify.ts';
import { createBodyBudget } from './input/body.ts';
import type { DecidingPolicy, Decision, PolicyInput, Principal } from './types.ts';
import { createVia } from './upstream/via.ts';

export interface RehearsalParts {
  readonly config: Config;
  readonly identify: Identify;
  readonly policy: DecidingPolicy;
  /** `input.client.ip` */
  readonly clientIp: string;
}

/** A request as it is written on the wire. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, the length of the body among them. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

export interface Rehearsed {
  /** Of the answer; undefined where the request would be passed on. */
  readonly status: number | undefined;
  /** Why the sidecar itself refuses it. */
  readonly refusal: { readonly code: ErrorCode; readonly message: string } | undefined;
  readonly principal: Principal | undefined;
  /** As the policy was given it. */
  readonly input: PolicyInput | undefined;
  readonly decision: Decision | undefined;
  /** Names of what would be changed in the judged bytes. */
  readonly changes: readonly string[];
}

const limitMs = 30_000;

/** @throws Error where the connection ends without an answer, as it does for bytes that are no request */
export async function rehearse(parts: RehearsalParts, request: RawRequest): Promise<Rehearsed> {
  const seen: { -readonly [Member in keyof Rehearsed]?: Rehearsed[Member] } = {};
  const failures: unknown[] = [];
  const { promise: ended, resolve: end } = Promise.withResolvers<Exit>();
  const record = (): RequestRecord => ({
    identified: (principal) => {
      seen.principal = principal;
    },
    certified: () => {},
    routed: () => {},
    received: () => {},
    asked: (input) => {
      seen.input = input;
    },
    decided: (decision) => {
      seen.decision = decision;
    },
    forwards: () => undefined,
    trim: () => {},
    forwarded: (_target, changes) => {
      seen.changes = changes;
    },
    firstByte: () => {},
    finish: (exit) => end(typeof exit === 'function' ? exit() : exit),
  });
  // With TLS only the handshake would differ, and there is no one to shake hands with.
  const config: Config = { ...parts.config, listen: { ...parts.config.listen, tls: undefined } };
  const faults = createSocketFaults();
  let forwarded = false;
  const pipeline = createPipeline({
    config,
    identify: parts.identify,
    policy: () => parts.policy,
    upstream: {
      id: config.upstream.baseUrl.origin,
      send() {
        forwarded = true;
        const answer = Promise.reject(new RequestError('upstream_unreachable'));
        return { answer, abandon: () => {} };
      },
      close: () => {},
    },
    via: createVia(),
    bodies: createBodyBudget(config.limits.bodiesTotal),
    record,
    extraHeaders: {},
    faults,
    drainState: () => 'serving',
    onInternalError: (error) => failures.push(error),
  });
  const { server } = createDataListener({ config, pipeline, record, faults, onHandshakeFailure: () => {} });
  const [client, connection] = duplexPair();
  // What the listener reads of a socket.
  Object.assign(connection, { remoteAddress: parts.clientIp });
  const answered = collect(client);
  try {
    server.emit('connection', connection);
    client.write(serializeHead(request));
    if (request.body.length > 0) client.write(request.body);
    const exit = await Promise.race([ended, lost(client, ended)]);
    if (failures.length > 0) throw failures[0];
    const code = forwarded ? undefined : exit.error;
    return {
      status: forwarded ? undefined : exit.status,
      refusal: code === undefined ? undefined : { code, message: readMessage(await answered(), code) },
      principal: seen.principal,
      input: seen.input,
      decision: seen.decision,
      changes: seen.changes ?? [],
    };
  } finally {
    client.destroy();
    connection.destroy();
  }
}

function serializeHead({ method, target, headers }: RawRequest): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`), '', ''];
  // RFC 9110, 5.5: octets beyond ASCII are opaque; what people type is UTF-8.
  return Buffer.from(lines.join('\r\n'), 'utf8');
}

/** @returns what has come so far, a little after it was asked for: the answer is written where the request ends */
function collect(client: Duplex): () => Promise<string> {
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  client.on('error', () => {});
  return async () => {
    const text = (): string => Buffer.concat(chunks).toString('utf8');
    for (let turns = 0; turns < 100 && !/\r\n\r\n./s.test(text()); turns += 1)
      await new Promise((resolve) => setImmediate(resolve));
    return text();
  };
}

async function lost(client: Duplex, ended: Promise<Exit>): Promise<never> {
  const late = AbortSignal.timeout(limitMs);
  await once(client, 'close', { signal: late }).catch(() => {});
  // An exit that comes with the end counts as one.
  await Promise.race([ended, new Promise((resolve) => setImmediate(resolve))]);
  throw new Error('This is no request that a server would answer: the connection ended without a word.');
}

/** The sidecar's own words in whatever shape the dialect gives them. */
function readMessage(answer: string, code: ErrorCode): string {
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  try {
    const parsed: unknown = JSON.parse(body);
    const error = member(parsed, 'error');
    const message = typeof error === 'string' ? error : member(error, 'message');
    if (typeof message === 'string') return message;
  } catch {
    // A HEAD has no body.
  }
  return new RequestError(code).message;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
