/**
 * The two objects that http-proxy-middleware is handed in place of the real request and response. What it forwards is what
 * the request object says, so an object made for the purpose is the allow-list; and what it does when its response object
 * closes or fails is ours to say, so the real one, with its error frames and its accounting, stays out of its reach.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

import type { RequestError } from '../errors.ts';

/** A body that comes bit by bit. */
export interface BodySource {
  /**
   * @param fail to be called where it can't be sent whole, with what is to be told; nothing whole must arrive then
   * @returns the bytes, once
   */
  read(fail: (error: RequestError) => void): AsyncIterable<Buffer>;
}

/** What goes to the upstream: the judged bytes and nothing else of the caller's request. */
export interface UpstreamRequest {
  readonly method: string;
  /** Canonical path with the query. */
  readonly path: string;
  /** Allow-listed, lower-case names, `content-length` set, no `host`. */
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | BodySource | undefined;
  /** The caller's socket; http-proxy-middleware looks at it to know which server it serves. */
  readonly socket: Socket;
}

/** What is done once the middleware has come to the sending. */
export interface Sender {
  send(path: string): void;
  /** The middleware failed before it came to that. */
  onFault(error: unknown): void;
}

/** Stands in for the request: no stream, because the body is sent whole, or sends itself. */
export class ExchangeRequest {
  readonly method: string;
  readonly path: string;
  /** Empty, because the middleware would parse it at some cost. */
  readonly url = '';
  readonly headers: OutgoingHttpHeaders;
  readonly socket: Socket;
  readonly sender: Sender;

  constructor(request: UpstreamRequest, path: string, sender: Sender) {
    this.method = request.method;
    this.path = path;
    this.headers = request.headers;
    this.socket = request.socket;
    this.sender = sender;
  }
}

/** Stands in for every response: what becomes of it the middleware does not hear. */
export const exchangeResponse = {
  on() {
    return exchangeResponse;
  },
};
