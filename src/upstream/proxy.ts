/**
 * The way to Ollama, by http-proxy-middleware (facts about it: design, upstream). One instance serves all requests; what
 * differs between them rides on the request object.
 */
import { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent } from 'node:https';

import { createProxyMiddleware, type Plugin } from 'http-proxy-middleware';

import { type ErrorCode, RequestError } from '../errors.ts';
import { ExchangeRequest, ExchangeResponse, type UpstreamRequest } from './exchange.ts';

export interface UpstreamOptions {
  readonly baseUrl: URL;
  /** ms; 0 for none. */
  readonly timeouts: { readonly connect: number; readonly firstByte: number };
}

export interface Exchange {
  /** The head of the answer has come. Rejects with a RequestError (502, 504, and 499 once it is abandoned). */
  readonly answer: Promise<IncomingMessage>;
  /** Lets go of the upstream: Ollama stops to generate as soon as its client is gone. */
  abandon(): void;
}

export interface Upstream {
  /** Names the target in records and errors: scheme, host and port, never a path or a credential. */
  readonly id: string;
  readonly host: string;
  send(request: UpstreamRequest): Exchange;
  close(): void;
}

/** An error of ours in the place of the socket's, which would not say which timer it was. */
class TimeoutError extends Error {
  readonly code: 'upstream_timeout' | 'upstream_unreachable';
  constructor(code: 'upstream_timeout' | 'upstream_unreachable') {
    super(code);
    this.code = code;
  }
}

export function createUpstream(options: UpstreamOptions): Upstream {
  const { baseUrl, timeouts } = options;
  const id = baseUrl.origin;
  const pathPrefix = baseUrl.pathname.replace(/\/$/, '');
  // The middleware's own agent holds 256 sockets; the 257th stream would wait in silence.
  const AgentOfScheme = baseUrl.protocol === 'https:' ? TlsAgent : Agent;
  const target = { protocol: baseUrl.protocol, hostname: baseUrl.hostname, host: baseUrl.host, port: baseUrl.port };
  const agent = new AgentOfScheme({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 256 });

  const proxy = createProxyMiddleware<ExchangeRequest & IncomingMessage>({
    target,
    agent,
    selfHandleResponse: true,
    router: prepareAttempt(target),
    // The default plugins log each request and answer errors with the host's name.
    ejectPlugins: true,
    plugins: [observe],
  });

  return {
    id,
    host: baseUrl.host,
    send(request) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      // Who abandons it may not wait for it any more.
      promise.catch(() => undefined);
      const response = new ExchangeResponse();
      const clock = startClock(timeouts);
      clocks.set(response, clock);
      const exchangeRequest = new ExchangeRequest(
        pathPrefix === '' ? request : { ...request, path: pathPrefix + request.path },
        (answer) => {
          clock.stop();
          if (isAnswerable(answer)) resolve(answer);
          else {
            response.destroy();
            reject(new RequestError('upstream_invalid'));
          }
        },
        (error) => {
          clock.stop();
          reject(describeFailure(error, id));
        },
      );
      handOver(exchangeRequest, response);
      return {
        answer: promise,
        abandon() {
          clock.stop();
          response.destroy();
          reject(new RequestError('client_closed_request'));
        },
      };
    },
    close: () => agent.destroy(),
  };

  function handOver(request: ExchangeRequest, response: ExchangeResponse): void {
    // The middleware's types want Node's own classes; what it touches of them is what ours have (exchange.ts).
    Reflect.apply(proxy, undefined, [
      request,
      response,
      (error: unknown) => error !== undefined && request.onError(error),
    ]);
  }
}

/** Called before each attempt with its own copy of the options: the judged bytes go out by one `end`, cheaper than any stream. */
function prepareAttempt<Target>(target: Target) {
  return (request: ExchangeRequest, _response: unknown, attempt: object): Target => {
    Object.assign(attempt, { buffer: { pipe: (outgoing: ClientRequest) => outgoing.end(request.body) } });
    return target;
  };
}

/** Clocks by response, because `proxyReq` knows the response and not the exchange. */
const clocks = new WeakMap<object, Clock>();

const observe: Plugin<ExchangeRequest & IncomingMessage> = (server) => {
  server.on('proxyReq', (outgoing, request, response) => {
    // Abandoned before the middleware, which prepares an attempt asynchronously, listened to it: nothing must be sent.
    if (response.destroyed) {
      outgoing.destroy();
      return;
    }
    // Without a listener Node closes the connection and tells nobody.
    outgoing.once('upgrade', (answer, socket) => {
      socket.destroy();
      request.onAnswer(answer);
    });
    clocks.get(response)?.watch(outgoing);
  });
  server.on('proxyRes', (answer, request) => request.onAnswer(answer));
  // One failure can be told twice; the promise behind it takes the first.
  server.on('error', (error, request) => request?.onError(error));
  server.on('econnreset', (error, request) => request?.onError(error));
};

interface Clock {
  watch(outgoing: ClientRequest): void;
  stop(): void;
}

/** Times the connection, then the wait for the head of the answer; each ends the attempt with an error that says which. */
function startClock(timeouts: UpstreamOptions['timeouts']): Clock {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const start = (outgoing: ClientRequest, ms: number, code: 'upstream_timeout' | 'upstream_unreachable'): void => {
    clearTimeout(timer);
    timer = ms > 0 && !stopped ? setTimeout(() => outgoing.destroy(new TimeoutError(code)), ms).unref() : undefined;
  };
  return {
    watch(outgoing) {
      if (outgoing.socket?.connecting !== true) {
        start(outgoing, timeouts.firstByte, 'upstream_timeout');
        return;
      }
      start(outgoing, timeouts.connect, 'upstream_unreachable');
      outgoing.socket.once('connect', () => start(outgoing, timeouts.firstByte, 'upstream_timeout'));
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Three digits are HTTP to Node's parser, but not all of them can be answered with (RFC 9110 section 15). */
function isAnswerable(answer: IncomingMessage): boolean {
  return answer.statusCode !== undefined && answer.statusCode >= 200;
}

function describeFailure(error: unknown, id: string): RequestError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const ours = classify(code);
  const message = ours === 'upstream_unreachable' ? `Cannot reach Ollama at ${id}. Is it running?` : undefined;
  return new RequestError(ours, message, { cause: error });
}

function classify(code: string): ErrorCode {
  if (code === 'upstream_timeout' || code === 'upstream_unreachable') return code;
  // The connection was there and ended, or what came over it was not HTTP.
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'upstream_reset';
  return code.startsWith('HPE_') ? 'upstream_invalid' : 'upstream_unreachable';
}
