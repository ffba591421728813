/**
 * The listener that callers reach. Express hands every request to the pipeline; what never becomes a request, because
 * HTTP's parser gave up on it, is answered and recorded here.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import express from 'express';

import type { Recorder } from '../audit/record.ts';
import { type ErrorCode, RequestError } from '../errors.ts';
import type { Config } from '../types.ts';
import { answerError, serializeAnswer } from './answer.ts';
import type { Pipeline } from './pipeline.ts';

export interface DataListenerOptions {
  readonly config: Config;
  readonly pipeline: Pipeline;
  readonly record: Recorder;
  readonly faults: SocketFaults;
}

/** Why the parser gave a socket up, and which request it was reading then. */
export interface SocketFaults {
  watch(request: IncomingMessage, response: ServerResponse): void;
  /**
   * @returns `none` where no request was being read; `reading` where one was, which will end because of this fault;
   *   `answered` where that one has its answer already
   */
  add(socket: Duplex, fault: RequestError): 'none' | 'reading' | 'answered';
  of(request: IncomingMessage): RequestError | undefined;
}

export function createSocketFaults(): SocketFaults {
  const latest = new WeakMap<Duplex, { readonly request: IncomingMessage; readonly response: ServerResponse }>();
  const faults = new WeakMap<IncomingMessage, RequestError>();
  return {
    watch: (request, response) => latest.set(request.socket, { request, response }),
    add(socket, fault) {
      const reading = latest.get(socket);
      if (reading === undefined || reading.request.complete) return 'none';
      if (reading.response.headersSent) return 'answered';
      faults.set(reading.request, fault);
      return 'reading';
    },
    of: (request) => faults.get(request),
  };
}

export function createDataListener(options: DataListenerOptions): Server {
  const { config, pipeline, record, faults } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response) => pipeline.handle(request, response));

  const server = createServer({
    maxHeaderSize: config.limits.headers,
    headersTimeout: config.timeouts.headers,
    // The body has a time of its own (timeouts.body), counted where it is read.
    requestTimeout: 0,
    connectionsCheckingInterval: 1000,
    // A request without Host is refused by the pipeline, where it is recorded.
    requireHostHeader: false,
    // Two lengths, folded headers and the like are for no reader to guess at.
    insecureHTTPParser: false,
  });
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    faults.watch(request, response);
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
    if (code === undefined || refused.has(socket)) {
      socket.destroy();
      return;
    }
    refused.add(socket);
    const fault = new RequestError(code);
    switch (faults.add(socket, fault)) {
      case 'none':
        return refuseSocket(socket, 'UNKNOWN', fault);
      case 'reading':
        return answerSocket(socket, fault, {});
      case 'answered':
        socket.destroy();
    }
  });
  return server;

  function refuseSocket(socket: Duplex, method: string, error: RequestError): void {
    const requestId = randomUUID();
    const entry = record({ requestId, api: 'gateway', method });
    answerSocket(socket, error, { 'x-request-id': requestId });
    entry.finish({ outcome: 'denied', status: error.status, error: error.code });
  }
}

function answerSocket(socket: Duplex, error: RequestError, ids: Readonly<Record<string, string>>): void {
  // With an answer under way, these bytes would stand in the middle of it.
  if (!socket.writable || isAnswering(socket)) {
    socket.destroy();
    return;
  }
  socket.end(serializeAnswer(answerError('gateway', error), ids));
  socket.resume();
  // The peer may never close its side.
  setTimeout(() => socket.destroy(), 1000).unref();
}

/** Node keeps the answer that is being written on its socket. */
function isAnswering(socket: Duplex): boolean {
  const message: unknown = Reflect.get(socket, '_httpMessage');
  return typeof message === 'object' && message !== null && Reflect.get(message, 'headersSent') === true;
}

/** @returns undefined where the peer went away without having asked for anything */
function classify(code: string): ErrorCode | undefined {
  // The connection ended within a request: nobody asked for anything, or the request that was being read ends with it.
  if (code === 'HPE_INVALID_EOF_STATE') return undefined;
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout';
  return code.startsWith('HPE_') ? 'malformed_http' : undefined;
}
