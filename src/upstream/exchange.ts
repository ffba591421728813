/**
 * The two objects that http-proxy-middleware is handed in place of the real request and response. What it forwards is what
 * the request object says, so an object made for the purpose is the allow-list; and what it does when its response object
 * closes or fails is ours to say, so the real one, with its error frames and its accounting, stays out of its reach.
 */
import { EventEmitter } from 'node:events';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

/** A body that comes bit by bit; it destroys `outgoing` with what is to be told where it can't be sent whole. */
export interface BodySource {
  pipe(outgoing: ClientRequest, onSent: () => void): void;
}

/** What goes to the upstream: the judged bytes and nothing else of the caller's request. */
export interface UpstreamRequest {
  readonly method: string;
  /** Canonical path with the query. */
  readonly path: string;
  /** Allow-listed, lower-case names, `host` and `content-length` set. */
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | BodySource | undefined;
  /** The caller's socket; http-proxy-middleware looks at it to know whether the caller is still there. */
  readonly socket: Socket;
}

/** Who is told what becomes of it. */
export interface Observer {
  /** @param sending a body that takes its time: the answer is waited for when it is sent */
  onConnection(outgoing: ClientRequest, sending: boolean): void;
  onSent(outgoing: ClientRequest): void;
  onAnswer(answer: IncomingMessage): void;
  onError(error: unknown): void;
}

/** Stands in for the request: no stream, because the body is sent whole, or sends itself. */
export class ExchangeRequest {
  readonly method: string;
  readonly path: string;
  /** The path once the middleware has filtered, which would parse it at some cost; an empty one it leaves alone. */
  url = '';
  readonly headers: OutgoingHttpHeaders;
  readonly httpVersionMajor = 1;
  readonly socket: Socket;
  #body: Buffer | BodySource | undefined;
  /** The body takes its time. */
  readonly isStreamed: boolean;
  readonly attempt: Observer;

  constructor(request: UpstreamRequest, path: string, attempt: Observer) {
    this.method = request.method;
    this.path = path;
    this.headers = request.headers;
    this.socket = request.socket;
    this.#body = request.body;
    this.isStreamed = request.body !== undefined && !Buffer.isBuffer(request.body);
    this.attempt = attempt;
  }

  /** Gives the body away: the middleware holds this object until the answer has ended, and may not hold what was sent. */
  takeBody(): Buffer | BodySource | undefined {
    const body = this.#body;
    this.#body = undefined;
    return body;
  }

  /** Errors of the caller's request are handled where it is read. */
  on(): this {
    return this;
  }
}

/** Stands in for the response: `close` ends the upstream's side. */
export class ExchangeResponse extends EventEmitter {
  readonly headersSent = false;
  readonly finished = false;
  readonly writableFinished = false;
  destroyed = false;

  /** Also called by httpxy when the answer breaks off; the delivery has heard of that itself. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}
