/** The data listener's server over TLS: HTTP/1.1 and nothing else, so that both ways of reaching it are one pipeline. */
import { constants } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions, TLSSocket } from 'node:tls';

import type { ListenTls, TlsMaterial } from '../configured/tls.ts';

/** Why no connection came about; a label of metrics. */
export type HandshakeFailure =
  | 'client_certificate'
  | 'certificate_refused'
  | 'plain_http'
  | 'timeout'
  | 'closed'
  | 'protocol';

export interface HandshakeReport {
  readonly reason: HandshakeFailure;
  /** OpenSSL's or Node's code. */
  readonly code: string;
  readonly ip: string | undefined;
}

export interface TlsServerOptions {
  readonly tls: ListenTls;
  /** ms */
  readonly handshakeTimeout: number;
  /** No request came about, so there is nothing to record. */
  readonly onHandshakeFailure: (report: HandshakeReport) => void;
}

export interface TlsListener {
  readonly server: Server;
  /**
   * New connections are made with it. Where the authorities of callers are others than before, connections that are there
   * end as soon as nothing is being answered on them: whom they were verified by may not count any more.
   */
  replace(material: TlsMaterial): void;
}

export function createTlsServer(http: ServerOptions, options: TlsServerOptions): TlsListener {
  const { tls } = options;
  const server = createServer({
    ...http,
    ...secureContextOf(tls, tls.material),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: options.handshakeTimeout,
    requestCert: tls.clientAuth !== undefined,
    // It would also refuse who presents none.
    rejectUnauthorized: tls.clientAuth === 'require',
  });
  // Before HTTP hears of the connection: a certificate that is there and wrong is never the same as none.
  server.prependListener('secureConnection', (socket) => {
    if (tls.clientAuth !== 'request' || socket.authorized || socket.getPeerX509Certificate() === undefined) return;
    const code = String(socket.authorizationError);
    options.onHandshakeFailure({ reason: 'client_certificate', code, ip: socket.remoteAddress });
    socket.destroy();
  });
  server.on('tlsClientError', (error: Error & { readonly code?: string }, socket: TLSSocket) => {
    const verifyError: unknown = Reflect.get(socket, 'authorizationError');
    const code = typeof verifyError === 'string' ? verifyError : (error.code ?? 'unknown');
    const reason = typeof verifyError === 'string' ? 'client_certificate' : classify(code);
    options.onHandshakeFailure({ reason, code, ip: socket.remoteAddress });
  });
  const verified = tls.clientAuth === undefined ? undefined : trackVerified(server);
  let { ca } = tls.material.parts;
  return {
    server,
    replace(material) {
      server.setSecureContext(secureContextOf(tls, material));
      if (!isSame(ca, material.parts.ca)) verified?.retire();
      ca = material.parts.ca;
    },
  };
}

/** A connection of a caller's can't be verified again, so the caller has to make a new one. */
function trackVerified(server: Server): { retire(): void } {
  /** Handshakes that are under way, by the caller's end: the secured connection is another object. */
  const beginning = new Map<string, Socket>();
  const answering = new Map<Socket, number>();
  const retired = new WeakSet<Socket>();
  server.on('connection', (socket: Socket) => {
    const end = callersEnd(socket);
    beginning.set(end, socket);
    socket.once('close', () => beginning.delete(end));
  });
  server.on('secureConnection', (socket) => {
    beginning.delete(callersEnd(socket));
    answering.set(socket, 0);
    socket.once('close', () => answering.delete(socket));
  });
  const begin = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    answering.set(socket, (answering.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = (answering.get(socket) ?? 1) - 1;
      if (answering.has(socket)) answering.set(socket, left);
      if (left === 0 && retired.has(socket)) socket.destroySoon();
    });
  };
  server.prependListener('request', begin);
  // Requests with an expectation come here alone; the pipeline answers them too.
  server.prependListener('checkContinue', begin);
  server.prependListener('checkExpectation', begin);
  return {
    retire() {
      for (const socket of beginning.values()) socket.destroy();
      for (const [socket, requests] of answering) {
        retired.add(socket);
        if (requests === 0) socket.destroySoon();
      }
    },
  };
}

function callersEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

/** For `createServer` and, after a reload, for `setSecureContext`, which forgets what it is not told again. */
function secureContextOf(tls: ListenTls, material: TlsMaterial): SecureContextOptions {
  const { parts } = material;
  return {
    ...parts,
    minVersion: tls.minVersion,
    // A resumed session is not verified again: it would outlive the certificate or the authority that it began with.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (parts.ca === undefined ? 0 : constants.SSL_OP_NO_TICKET),
  };
}

function classify(code: string): HandshakeFailure {
  if (code === 'ERR_SSL_HTTP_REQUEST') return 'plain_http';
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'closed';
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return 'client_certificate';
  // An alert of the peer's about a certificate is about ours.
  return /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE)/.test(code)
    ? 'certificate_refused'
    : 'protocol';
}
