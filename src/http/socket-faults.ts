/**
 * What HTTP's parser gives up on while a request is being read belongs to that request: it ends because of it, and is
 * recorded once, as it would be if the pipeline had found the fault.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import type { RequestError } from '../errors.ts';

export interface SocketFaults {
  /** A request begins; it stays the one that is read from its socket until the next one begins. */
  watch(request: IncomingMessage, response: ServerResponse, requestId: string): void;
  /**
   * @returns `none` where no request is being read, `answered` where the one that is has its answer already, else the
   *   request that will end because of this fault
   */
  add(socket: Duplex, fault: RequestError): 'none' | 'answered' | Reading;
  of(request: IncomingMessage): RequestError | undefined;
}

export interface Reading {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
}

export function createSocketFaults(): SocketFaults {
  const latest = new WeakMap<Duplex, Reading>();
  const faults = new WeakMap<IncomingMessage, RequestError>();
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
  };
}
