/**
 * The way to Ollama, by http-proxy-middleware (facts about it: design, upstream). One instance serves all requests; what
 * differs between them rides on the request object.
 */
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';

import { createProxyMiddleware, type Plugin } from 'http-proxy-middleware';

import { type ErrorCode, RequestError } from '../errors.ts';
import type { UpstreamAgent } from './agent.ts';
import { isAnswerable } from './answerable.ts';
import { ExchangeRequest, ExchangeResponse, type Observer, type UpstreamRequest } from './exchange.ts';
import { createWaits, type Wait } from './wait.ts';

export interface UpstreamOptions {
  readonly baseUrl: URL;
  readonly agent: UpstreamAgent;
  /** The upstream could not be verified, or did not take us; the caller is told no more than that. */
  readonly onTlsError?: (error: unknown, requestId: unknown) => void;
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
  const { baseUrl } = options;
  const id = baseUrl.origin;
  const pathPrefix = baseUrl.pathname.replace(/\/$/, '');
  const { connect, firstByte } = options.timeouts;
  const waits = firstByte === 0 ? undefined : createWaits(firstByte, () => new TimeoutError('upstream_timeout'));
  const terms: Terms = { id, connectMs: connect, waits, onTlsError: options.onTlsError };
  const target = { protocol: baseUrl.protocol, hostname: baseUrl.hostname, host: baseUrl.host, port: baseUrl.port };

  const proxy = createProxyMiddleware<ExchangeRequest & IncomingMessage>({
    target,
    selfHandleResponse: true,
    // With any other filter the middleware would parse each request's url as a whole.
    pathFilter: () => true,
    router: prepareAttempt(target, options.agent.current),
    // The default plugins log each request and answer errors with the host's name.
    ejectPlugins: true,
    plugins: [observe],
  });

  return {
    id,
    host: baseUrl.host,
    send(request) {
      const attempt = new Attempt(terms, request.headers['x-request-id']);
      handOver(new ExchangeRequest(request, pathPrefix + request.path, attempt), attempt.response);
      return attempt;
    },
    close: options.agent.close,
  };

  function handOver(request: ExchangeRequest, response: ExchangeResponse): void {
    // The middleware's types want Node's own classes; what it touches of them is what ours have (exchange.ts).
    Reflect.apply(proxy, undefined, [request, response, request.attempt.onError]);
  }
}

/** Called before each attempt with its own copy of the options: the judged bytes go out by one `end`, cheaper than any stream. */
function prepareAttempt<Target>(target: Target, agent: () => Agent) {
  return (request: ExchangeRequest, _response: unknown, attempt: object): Target => {
    request.url = request.path;
    Object.assign(attempt, {
      agent: agent(),
      buffer: { pipe: (outgoing: ClientRequest) => sendBody(request, outgoing) },
    });
    return target;
  };
}

function sendBody(request: ExchangeRequest, outgoing: ClientRequest): void {
  const body = request.takeBody();
  if (body === undefined || Buffer.isBuffer(body)) outgoing.end(body);
  else body.pipe(outgoing, () => request.attempt.onSent(outgoing));
}

const observe: Plugin<ExchangeRequest & IncomingMessage> = (server) => {
  server.on('proxyReq', (outgoing, request) => request.attempt.onConnection(outgoing, request.isStreamed));
  server.on('proxyRes', (answer, request) => request.attempt.onAnswer(answer));
  // One failure can be told twice; the promise behind it takes the first.
  server.on('error', (error, request) => request?.attempt.onError(error));
  server.on('econnreset', (error, request) => request?.attempt.onError(error));
};

interface Terms {
  readonly id: string;
  /** 0 for none. */
  readonly connectMs: number;
  /** Undefined: as long as it takes. */
  readonly waits: ReturnType<typeof createWaits> | undefined;
  readonly onTlsError: UpstreamOptions['onTlsError'];
}

/**
 * One attempt to have an answer. It times the connection, then the wait for the head of the answer; each ends it with an
 * error that says which.
 */
class Attempt implements Exchange, Observer {
  readonly answer: Promise<IncomingMessage>;
  readonly response = new ExchangeResponse();
  readonly #terms: Terms;
  readonly #requestId: unknown;
  #resolve: (answer: IncomingMessage) => void;
  #reject: (error: RequestError) => void;
  #connecting: NodeJS.Timeout | undefined;
  #wait: Wait | undefined;
  #settled = false;

  constructor(terms: Terms, requestId: unknown) {
    this.#terms = terms;
    this.#requestId = requestId;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onConnection(outgoing: ClientRequest, sending: boolean): void {
    // Abandoned before the middleware, which prepares an attempt asynchronously, listened to it: nothing must be sent.
    if (this.response.destroyed) {
      outgoing.destroy();
      return;
    }
    // Without a listener Node closes the connection and tells nobody.
    outgoing.once('upgrade', (answer, socket) => {
      socket.destroy();
      this.onAnswer(answer);
    });
    if (outgoing.socket?.connecting !== true) {
      if (!sending) this.onSent(outgoing);
      return;
    }
    const { connectMs } = this.#terms;
    if (connectMs > 0) {
      const late = (): unknown => outgoing.destroy(new TimeoutError('upstream_unreachable'));
      this.#connecting = setTimeout(late, connectMs).unref();
    }
    // Over TLS the connection is there once it is secured.
    const connected = 'encrypted' in outgoing.socket ? 'secureConnect' : 'connect';
    outgoing.socket.once(connected, () => (sending ? clearTimeout(this.#connecting) : this.onSent(outgoing)));
  }

  onSent(outgoing: ClientRequest): void {
    clearTimeout(this.#connecting);
    if (this.#settled || outgoing.socket === null) return;
    this.#wait = this.#terms.waits?.(outgoing, outgoing.socket);
  }

  onAnswer(answer: IncomingMessage): void {
    this.#settle();
    if (isAnswerable(answer)) this.#resolve(answer);
    else {
      this.response.destroy();
      this.#fail(new RequestError('upstream_invalid'));
    }
  }

  /** Bound, because the middleware calls it as its `next`; without an error that means nothing here. */
  readonly onError = (error: unknown): void => {
    if (error === undefined) return;
    // One failure can be told twice; the promise takes the first.
    const told = this.#settled;
    this.#settle();
    const failure = describeFailure(error, this.#terms.id);
    if (failure.code === 'upstream_tls' && !told) this.#terms.onTlsError?.(error, this.#requestId);
    this.#fail(failure);
  };

  abandon(): void {
    this.#settle();
    this.response.destroy();
    this.#fail(new RequestError('client_closed_request'));
  }

  #fail(error: RequestError): void {
    // Who abandons it may not wait for it any more.
    this.answer.catch(() => undefined);
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#connecting);
    this.#wait?.end();
    this.#wait = undefined;
  }
}

function describeFailure(error: unknown, id: string): RequestError {
  // A body that could not be sent whole says why.
  if (error instanceof RequestError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const ours = classify(code);
  const message = ours === 'upstream_unreachable' ? `Cannot reach Ollama at ${id}. Is it running?` : undefined;
  return new RequestError(ours, message, { cause: error });
}

function classify(code: string): ErrorCode {
  if (code === 'upstream_timeout' || code === 'upstream_unreachable') return code;
  // The connection was there and ended, or what came over it was not HTTP.
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'upstream_reset';
  if (isTlsCode(code)) return 'upstream_tls';
  return code.startsWith('HPE_') ? 'upstream_invalid' : 'upstream_unreachable';
}

/**
 * Codes of Node's and OpenSSL's for a connection that cannot be secured: theirs of the protocol, and the names of
 * OpenSSL's verification results (`X509_V_ERR_...`), which have no prefix of their own.
 */
function isTlsCode(code: string): boolean {
  return (
    /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERROR_IN_)/.test(code) ||
    ['EPROTO', 'INVALID_CA', 'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED', 'HOSTNAME_MISMATCH'].includes(code)
  );
}
