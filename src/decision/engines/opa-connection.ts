/**
 * HTTP to a remote OPA, below its SDK. The SDK asks by `fetch`, which knows no Unix sockets and no certificates, follows
 * redirects and reads answers of any length: see docs/decisions/021-remote-opa.md.
 */
import { Agent, type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { OpaConfig } from '../../configured/policy.ts';
import { EvaluationError } from '../../errors.ts';
import { type OpaCredentials, watchCredentials } from './opa-credentials.ts';

export interface OpaAnswer {
  readonly status: number;
  readonly bytes: Buffer;
}

export interface OpaConnection {
  /**
   * @param path below the root of the server, with its query
   * @param body JSON; a GET where there is none
   * @param timeoutMs until the last byte of the answer, the wait for a connection included
   * @throws EvaluationError `policy_deadline` or `engine_unavailable`
   */
  ask(path: string, body: string | undefined, timeoutMs: number): Promise<OpaAnswer>;
  close(): void;
}

/** Decisions at once; the next one waits for a connection, within its deadline. */
const mostSockets = 128;
/** A decision is some hundred bytes. */
const mostAnswerBytes = 1 << 20;

/** No question takes longer (`policy.opa.timeout`): what is asked by a former connection has been answered then. */
const longestMs = 61_000;

/** @param lookEveryMs between two looks at the files of the token and the certificates */
export function createOpaConnection(config: OpaConfig, lookEveryMs?: number): OpaConnection {
  const { url, socket, tls } = config;
  const secure = url.protocol === 'https:';
  const pool = { keepAlive: true, maxSockets: mostSockets, scheduling: 'lifo' as const };
  const createAgent = (parts: OpaCredentials['parts']) =>
    secure
      ? new TlsAgent({
          ...pool,
          // Said outright, because an environment variable of Node's could switch it off otherwise.
          rejectUnauthorized: true,
          minVersion: 'TLSv1.2',
          ...parts,
          ...(tls?.serverName !== undefined && { servername: tls.serverName }),
        })
      : new Agent(pool);
  let agent = createAgent(tls?.material.parts ?? {});
  let authorization = authorizationOf(config.token);
  const stopWatching = watchCredentials(
    config,
    ({ token, parts }) => {
      authorization = authorizationOf(token);
      if (!secure) return;
      const former = agent;
      agent = createAgent(parts);
      setTimeout(() => former.destroy(), longestMs).unref();
    },
    lookEveryMs,
  );
  const request = secure ? tlsRequest : plainRequest;
  const place = socket === undefined ? url.origin : `unix://${socket}`;
  const common: RequestOptions = {
    ...(socket === undefined
      ? { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? (secure ? 443 : 80) : url.port }
      : { socketPath: socket }),
  };

  return {
    ask,
    close() {
      stopWatching();
      agent.destroy();
    },
  };

  function ask(path: string, body: string | undefined, timeoutMs: number): Promise<OpaAnswer> {
    return new Promise((resolve, reject) => {
      let current: ReturnType<typeof request> | undefined;
      const timer = setTimeout(() => end(tooLate(timeoutMs)), timeoutMs);
      // The first end counts: what is destroyed then fails once more.
      const end = (outcome: OpaAnswer | EvaluationError): void => {
        clearTimeout(timer);
        if (outcome instanceof EvaluationError) {
          reject(outcome);
          current?.destroy();
        } else resolve(outcome);
      };
      const send = (mayRepeat: boolean): void => {
        const sent = request({
          ...common,
          agent,
          path,
          method: body === undefined ? 'GET' : 'POST',
          headers: headersOf(body),
        });
        current = sent;
        sent.on('error', (cause) => {
          // OPA may close a kept connection just when it is used again. A question that has no effect may be asked twice.
          if (mayRepeat && sent.reusedSocket && sent === current && isReset(cause)) send(false);
          else end(unavailable(place, cause.message === '' ? 'no connection' : cause.message, cause));
        });
        sent.on('response', (answer) => read(answer, end));
        sent.end(body);
      };
      send(true);
    });
  }

  function headersOf(body: string | undefined): Record<string, string | number> {
    return {
      host: socket === undefined ? url.host : 'localhost',
      accept: 'application/json',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      ...(authorization !== undefined && { authorization }),
    };
  }

  function read(answer: IncomingMessage, end: (outcome: OpaAnswer | EvaluationError) => void): void {
    const chunks: Buffer[] = [];
    let length = 0;
    answer.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > mostAnswerBytes) end(unavailable(place, `the answer is longer than ${mostAnswerBytes} bytes`));
      else chunks.push(chunk);
    });
    answer.on('end', () => end({ status: answer.statusCode ?? 0, bytes: Buffer.concat(chunks) }));
    answer.on('error', (cause) => end(unavailable(place, 'the answer was cut short', cause)));
  }
}

function authorizationOf(token: string | undefined): string | undefined {
  return token === undefined ? undefined : `Bearer ${token}`;
}

function tooLate(timeoutMs: number): EvaluationError {
  return new EvaluationError('policy_deadline', `OPA gave no decision within ${timeoutMs} ms.`);
}

/** @param why ends the sentence */
function unavailable(place: string, why: string, cause?: unknown): EvaluationError {
  return new EvaluationError('engine_unavailable', `OPA at ${place} can't be asked: ${why}.`, { cause });
}

function isReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}
