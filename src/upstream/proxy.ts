/**
 * The way to Ollama, by http-proxy-middleware (facts about it: design, upstream). One instance serves all requests; what
 * differs between them rides on the request object. Its last step, the sending, is undici's (docs/decisions/026).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import { createProxyMiddleware, type Plugin } from 'http-proxy-middleware';
import type { Dispatcher } from 'undici';

import { RequestError } from '../errors.ts';
import { inOnePiece } from '../one-piece.ts';
import type { UpstreamAnswer } from '../upstream-answer.ts';
import { Answer } from './answer.ts';
import { isAnswerable } from './answerable.ts';
import type { Connections } from './connections.ts';
import { type BodySource, ExchangeRequest, exchangeResponse, type Sender, type UpstreamRequest } from './exchange.ts';
import { describeFailure } from './failure.ts';
import { joinRepeated } from './headers.ts';

export interface UpstreamOptions {
  readonly baseUrl: URL;
  readonly connections: Connections;
  /** The upstream could not be verified, or did not take us; the caller is told no more than that. */
  readonly onTlsError?: (error: unknown, requestId: unknown) => void;
}

export interface Exchange {
  /** The head of the answer has come. Rejects with a RequestError (502, 504, and 499 once it is abandoned). */
  readonly answer: Promise<UpstreamAnswer>;
  /** Lets go of the upstream: Ollama stops to generate as soon as its client is gone. */
  abandon(): void;
}

export interface Upstream {
  /** Names the target in records and errors: scheme, host and port, never a path or a credential. */
  readonly id: string;
  send(request: UpstreamRequest): Exchange;
  close(): void;
}

export function createUpstream({ baseUrl, connections, onTlsError }: UpstreamOptions): Upstream {
  const id = inOnePiece(baseUrl.origin);
  const pathPrefix = baseUrl.pathname.replace(/\/$/, '');
  const terms: Terms = { id, connections, onTlsError };

  const proxy = createProxyMiddleware<ExchangeRequest & IncomingMessage>({
    target: { protocol: baseUrl.protocol, hostname: baseUrl.hostname, host: baseUrl.host, port: baseUrl.port },
    // With any other filter the middleware would parse each request's url as a whole.
    pathFilter: () => true,
    // The default plugins log each request and answer errors with the host's name.
    ejectPlugins: true,
    plugins: [sendByUndici],
  });

  return {
    id,
    send(request) {
      const attempt = new Attempt(terms, request);
      const passed = new ExchangeRequest(request, pathPrefix + request.path, attempt);
      // The middleware's types want Node's own classes; what it touches of them is what ours have (exchange.ts).
      Reflect.apply(proxy, undefined, [passed, exchangeResponse, attempt.onFault]);
      return attempt;
    },
    close: connections.close,
  };
}

/** Put before the middleware's last step, which it takes the place of: that one has Node's client. All of them are nameless. */
const sendByUndici: Plugin<ExchangeRequest & IncomingMessage> = (server) => {
  server.before('web', '', (request) => {
    if (!(request instanceof ExchangeRequest)) return undefined;
    request.sender.send(request.path);
    return true;
  });
  server.on('error', (error, request) => request?.sender.onFault(error));
};

interface Terms {
  readonly id: string;
  readonly connections: Connections;
  readonly onTlsError: UpstreamOptions['onTlsError'];
}

/** One attempt to have an answer, and what undici tells of it. */
class Attempt implements Exchange, Sender, Dispatcher.DispatchHandler {
  readonly answer: Promise<UpstreamAnswer>;
  readonly #terms: Terms;
  readonly #method: string;
  readonly #headers: UpstreamRequest['headers'];
  #body: UpstreamRequest['body'];
  #resolve: (answer: UpstreamAnswer) => void;
  #reject: (error: RequestError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #answer: Answer | undefined;
  /** Why nothing more is wanted. */
  #failure: RequestError | undefined;

  constructor(terms: Terms, request: UpstreamRequest) {
    this.#terms = terms;
    this.#method = request.method;
    this.#headers = request.headers;
    this.#body = request.body;
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  send(path: string): void {
    // The middleware prepares asynchronously: it may have been abandoned before.
    if (this.#failure !== undefined) return;
    const body = this.#body;
    // What was sent is held by nobody: this object lives until the answer has ended.
    this.#body = undefined;
    this.#terms.connections.dispatch(
      {
        path,
        method: this.#method,
        headers: this.#headers,
        body: body === undefined ? null : Buffer.isBuffer(body) ? body : this.#streamed(body),
      },
      this,
    );
  }

  #streamed(body: BodySource): Readable {
    return Readable.from(
      body.read((error) => this.#cancel(error)),
      { objectMode: false },
    );
  }

  abandon(): void {
    if (this.#answer !== undefined) this.#answer.destroy();
    else this.#cancel(new RequestError('client_closed_request'));
  }

  #cancel(error: RequestError): void {
    if (this.#failure !== undefined) return;
    this.#fail(error);
    this.#controller?.abort(error);
  }

  /** Bound, because the middleware calls it as its `next`; without an error that means nothing here. */
  readonly onFault = (error: unknown): void => {
    if (error !== undefined) this.#fail(describeFailure(error, this.#terms.id));
  };

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure !== undefined) controller.abort(this.#failure);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // An interim answer says nothing yet; 101 would be the last that is HTTP on this connection.
    if (status >= 102 && status < 200) return;
    if (isAnswerable(status, headers, countParts(controller.rawHeaders))) {
      this.#answer = new Answer(controller, status, joinRepeated(headers));
      this.#resolve(this.#answer);
    } else this.#cancel(new RequestError('upstream_invalid'));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#answer?.receive(chunk);
  }

  onResponseEnd(): void {
    this.#answer?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#answer !== undefined) this.#answer.fail();
    else this.onFault(error);
  }

  /** The first failure is the one that counts. */
  #fail(error: RequestError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    if (error.code === 'upstream_tls') this.#terms.onTlsError?.(error.cause, this.#headers['x-request-id']);
    // Who abandons it may not wait for it any more.
    this.answer.catch(() => undefined);
    this.#reject(error);
  }
}

function countParts(rawHeaders: Dispatcher.DispatchController['rawHeaders']): number {
  return Array.isArray(rawHeaders) ? rawHeaders.length : 0;
}
