/**
 * What HTTP's parser gives up on while a request is being read belongs to that request: it ends because of it, and is
 * recorded once, as it would be if the pipeline had found the fault. And what comes behind a request whose head leaves it
 * open where the request ends, or who it was meant for, is no request at all.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { type ErrorCode, RequestError } from '../errors.ts';

export interface SocketFaults {
  /** A request begins; it stays the one that is read from its socket until the next one begins. */
  watch(request: IncomingMessage, response: ServerResponse, requestId: string): void;
  /**
   * @returns `none` where no request is being read, `answered` where the one that is has its answer already, else the
   *   request that will end because of this fault
   */
  add(socket: Duplex, fault: RequestError): 'none' | 'answered' | Reading;
  of(request: IncomingMessage): RequestError | undefined;
  /** A head was refused because of this: if it casts doubt on the bytes behind it, the connection ends with the answer. */
  distrust(socket: Duplex, error: unknown): void;
  /** Nothing that comes on this connection is a request any more (RFC 9112, 9.6). */
  isOver(socket: Duplex): boolean;
}

export interface Reading {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
}

/** Another reader may see another end of the request, another protocol behind it, or no body where there is one. */
const doubtful: ReadonlySet<ErrorCode> = new Set([
  'malformed_http',
  'invalid_host',
  'upgrade_refused',
  'expectation_failed',
]);

export function createSocketFaults(): SocketFaults {
  const latest = new WeakMap<Duplex, Reading>();
  const faults = new WeakMap<IncomingMessage, RequestError>();
  const over = new WeakSet<Duplex>();
  return {
    watch: (request, response, requestId) => latest.set(request.socket, { request, response, requestId }),
    add(socket, fault) {
      const reading = latest.get(socket);
      if (reading === undefined || reading.request.complete) return 'none';
      if (reading.response.headersSent) return 'answered';
      faults.set(reading.request, fault);
      return reading;
    },
    of: (request) => faults.get(request),
    distrust(socket, error) {
      if (error instanceof RequestError && doubtful.has(error.code)) over.add(socket);
    },
    isOver: (socket) => over.has(socket),
  };
}
