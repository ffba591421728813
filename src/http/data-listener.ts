/**
 * The listener that callers reach. Express hands every request to the pipeline; what never becomes a request, because
 * HTTP's parser gave up on it, is answered and recorded here.
 */
import { createServer, IncomingMessage, type Server, type ServerOptions, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import express from 'express';

import type { Recorder } from '../audit/record.ts';
import type { Config } from '../configured/config.ts';
import { type ErrorCode, RequestError } from '../errors.ts';
import { answerError, serializeAnswer } from './answer.ts';
import { createId } from './correlation.ts';
import type { Pipeline } from './pipeline.ts';
import type { SocketFaults } from './socket-faults.ts';
import { createTlsServer, type HandshakeReport, type TlsListener } from './tls-server.ts';

/** Where the headers have no time limit. */
const longestHandshakeMs = 10_000;

export interface DataListenerOptions {
  readonly config: Config;
  readonly pipeline: Pipeline;
  readonly record: Recorder;
  readonly faults: SocketFaults;
  readonly onHandshakeFailure: (report: HandshakeReport) => void;
}

export interface DataListener {
  readonly server: Server;
  /** As of `TlsListener`; undefined where the listener speaks plain HTTP. */
  readonly replace: TlsListener['replace'] | undefined;
}

export function createDataListener(options: DataListenerOptions): DataListener {
  const { config, pipeline, record, faults } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response) => pipeline.handle(request, response));

  const http: ServerOptions = {
    ...createExpressClasses(app),
    maxHeaderSize: config.limits.headers,
    headersTimeout: config.timeouts.headers,
    // The body has a time of its own (timeouts.body), counted where it is read.
    requestTimeout: 0,
    connectionsCheckingInterval: 1000,
    // A request without Host is refused by the pipeline, where it is recorded.
    requireHostHeader: false,
    // Two lengths, folded headers and the like are for no reader to guess at.
    insecureHTTPParser: false,
  };
  const { tls } = config.listen;
  const handshakeTimeout = config.timeouts.headers > 0 ? config.timeouts.headers : longestHandshakeMs;
  const secured =
    tls && createTlsServer(http, { tls, handshakeTimeout, onHandshakeFailure: options.onHandshakeFailure });
  const server: Server = secured?.server ?? createServer(http);
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    if (faults.isOver(request.socket)) return;
    // Express gives up on targets that it can't parse; the pipeline refuses those as well, with a record.
    Reflect.apply(app, undefined, [request, response, () => pipeline.handle(request, response)]);
  };
  server.on('request', handle);
  // An expectation is answered by the pipeline: a caller that is refused never sends its body.
  server.on('checkContinue', handle);
  server.on('checkExpectation', handle);
  // CONNECT has no response object.
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    refuseSocket(socket, request.method ?? '', new RequestError('method_not_allowed'));
  });
  // The parser goes on to complain about what comes behind a fault, such as the end of the connection.
  const refused = new WeakSet<Duplex>();
  server.on('clientError', (error: Error & { readonly code?: string }, socket: Duplex) => {
    const code = classify(error.code ?? '');
    if (refused.has(socket) || faults.isOver(socket)) return;
    if (code === undefined || saidNothing(socket)) {
      socket.destroy();
      return;
    }
    refused.add(socket);
    const fault = new RequestError(code);
    const reading = faults.add(socket, fault);
    if (reading === 'none') refuseSocket(socket, 'UNKNOWN', fault);
    else if (reading === 'answered') socket.destroy();
    else answerSocket(socket, fault, reading.requestId, reading.response);
  });
  return { server, replace: secured?.replace };

  function refuseSocket(socket: Duplex, method: string, error: RequestError): void {
    const requestId = createId();
    const entry = record({ requestId, api: 'gateway', method });
    answerSocket(socket, error, requestId);
    entry.finish({ outcome: 'denied', status: error.status, error: error.code });
  }
}

/**
 * Express gives each request and each response a prototype of its own. Those that are made with it are spared the change,
 * which costs V8 some 3 µs, and all that looks at them afterwards a little.
 */
function createExpressClasses(app: express.Express): Pick<ServerOptions, 'IncomingMessage' | 'ServerResponse'> {
  class ExpressRequest extends IncomingMessage {}
  class ExpressResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request);
  Object.setPrototypeOf(ExpressResponse.prototype, app.response);
  Object.assign(app, { request: ExpressRequest.prototype, response: ExpressResponse.prototype });
  return { IncomingMessage: ExpressRequest, ServerResponse: ExpressResponse };
}

/** @param own response of the request that failed, if it got that far: nothing was written to it */
function answerSocket(socket: Duplex, error: RequestError, requestId: string, own?: ServerResponse): void {
  const due = responseOf(socket);
  if (due !== undefined && due !== own) {
    // The answer to an earlier request: these bytes would be taken for it, or stand in the middle of it.
    due.once('close', () => setImmediate(() => answerSocket(socket, error, requestId)));
    return;
  }
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(serializeAnswer(answerError('gateway', error), { 'x-request-id': requestId }));
  socket.resume();
  // The peer may never close its side.
  setTimeout(() => socket.destroy(), 1000).unref();
}

/** Node keeps the response whose turn it is on its socket. */
function responseOf(socket: Duplex): ServerResponse | undefined {
  const response: unknown = Reflect.get(socket, '_httpMessage');
  return response instanceof ServerResponse ? response : undefined;
}

/** Browsers open connections in advance, and probes only look whether one can be opened. */
function saidNothing(socket: Duplex): boolean {
  return socket instanceof Socket && socket.bytesRead === 0;
}

/** @returns undefined where the peer went away without having asked for anything */
function classify(code: string): ErrorCode | undefined {
  // The connection ended within a request: nobody asked for anything, or the request that was being read ends with it.
  if (code === 'HPE_INVALID_EOF_STATE') return undefined;
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout';
  return code.startsWith('HPE_') ? 'malformed_http' : undefined;
}
