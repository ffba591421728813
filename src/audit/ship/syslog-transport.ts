/** Brings syslog messages to their receiver, over one connection that is opened when it is needed. */
import { createSocket } from 'node:dgram';
import { connect as connectPlain, isIPv6, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { SyslogConfig } from '../../configured/ship.ts';
import { readCertificates } from '../../service-credentials.ts';
import { NotDelivered } from './shipper.ts';
import { frameSyslog } from './syslog-message.ts';

export interface SyslogTransport {
  /** Rejects where the connection failed; nobody says which messages were taken then. */
  send(messages: readonly Buffer[], signal: AbortSignal): Promise<void>;
  close(): void;
}

/** To connect, and to write a batch. */
const timeoutMs = 10_000;
/** UDP over IPv4, without its header: larger ones can't be sent. */
const largestDatagram = 65_507;

export function createSyslogTransport(config: Pick<SyslogConfig, 'target' | 'tls'>): SyslogTransport {
  const { target } = config;
  return target.transport === 'udp' ? createDatagrams(target.host, target.port) : createStream(config);
}

function createStream(config: Pick<SyslogConfig, 'target' | 'tls'>): SyslogTransport {
  let socket: Socket | undefined;

  return {
    async send(messages, signal) {
      const connected = await connect(signal);
      await within(signal, connected, (done) => connected.write(Buffer.concat(messages.map(frameSyslog)), done));
    },
    close() {
      // What was written goes out; whoever does not read it may not hold the end up.
      socket?.end();
      socket?.unref();
    },
  };

  async function connect(signal: AbortSignal): Promise<Socket> {
    if (socket !== undefined && !socket.destroyed && socket.writable) return socket;
    const tls = config.tls && (await readCertificates(config.tls));
    signal.throwIfAborted();
    const opened = open(config.target, tls);
    socket = opened;
    // A receiver says nothing, but that it goes is only seen by reading.
    opened.resume().on('end', () => opened.destroy());
    // What fails while nothing is being sent is seen by the next one who sends.
    opened.on('error', () => opened.destroy());
    const connected = config.target.transport === 'tls' ? 'secureConnect' : 'connect';
    await within(signal, opened, (done) => opened.once(connected, () => done()));
    return opened;
  }
}

function open(target: SyslogConfig['target'], tls: SyslogConfig['tls']): Socket {
  if (target.transport === 'unix') return connectPlain({ path: target.path });
  const { host, port } = target;
  if (target.transport !== 'tls') return connectPlain({ host, port, keepAlive: true });
  const servername = tls?.serverName ?? (/^[\d.]+$|:/.test(host) ? undefined : host);
  return connectTls({
    host,
    port,
    minVersion: 'TLSv1.2',
    ...tls?.material.parts,
    ...(servername !== undefined && { servername }),
  });
}

/** @param begin calls back when it is done; the socket's failure, its end and the time ended are failures */
function within(signal: AbortSignal, socket: Socket, begin: (done: (error?: Error | null) => void) => void) {
  return new Promise<void>((resolve, reject) => {
    const end = (error?: Error | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.off('error', end).off('close', closed);
      if (error) reject(error);
      else resolve();
    };
    const fail = (message: string): void => {
      socket.destroy();
      end(new Error(message));
    };
    const abort = (): void => fail('the sidecar ends');
    const closed = (): void => end(new Error('the receiver closed the connection'));
    const timer = setTimeout(() => fail(`nothing was taken within ${timeoutMs} ms`), timeoutMs);
    signal.addEventListener('abort', abort);
    socket.once('error', end).once('close', closed);
    begin(end);
  });
}

function createDatagrams(host: string, port: number): SyslogTransport {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref();
  // A port that nobody listens at is told of later, and of one datagram or another.
  socket.on('error', () => {});

  return {
    async send(messages) {
      let tooLarge = 0;
      for (const message of messages) {
        if (message.length > largestDatagram) tooLarge += 1;
        else
          await new Promise<void>((resolve, reject) =>
            socket.send(message, port, host, (error) => (error ? reject(error) : resolve())),
          );
      }
      if (tooLarge > 0) throw new NotDelivered('a record is larger than a datagram; use tcp or tls', tooLarge);
    },
    close: () => socket.close(),
  };
}
