/**
 * Connections between two requests. Node's agent keeps them too, and spends a tenth of the CPU time of a whole request on
 * it: names for hosts where there is one, listeners put on and off, options copied twice (docs/decisions/026).
 *
 * `addRequest` is what Node's ClientRequest asks of anything that it takes for an agent, `free` what it tells it.
 */
import { type Agent, ClientRequest, IncomingMessage } from 'node:http';
import { Socket } from 'node:net';

export interface IdleConnections {
  /** Closes what is idle now, and what is in use as soon as it is not. */
  retire(): void;
}

interface Idle {
  readonly socket: Socket;
  /** As it was when it became idle. */
  readonly bytesRead: number;
  /** The upstream closes it then, by its own word; ms of `performance.now()`. */
  readonly untilMs: number;
}

/** An upstream's word is rounded, and takes a moment to arrive. */
const marginMs = 1000;

/** Takes them over from `agent`, whose connections are all to one host. @param most connections that are kept */
export function keepIdleConnections(agent: Agent, most: number): IdleConnections {
  const idle: Idle[] = [];
  let kept = most;
  const connect: unknown = Reflect.get(agent, 'addRequest');
  if (typeof connect !== 'function') throw new TypeError('This is no agent of Node.');

  Object.assign(agent, {
    addRequest(request: ClientRequest, options: object): void {
      const socket = take();
      if (socket === undefined) {
        Reflect.apply(connect, agent, [request, options]);
        return;
      }
      request.reusedSocket = true;
      request.onSocket(socket);
    },
  });
  agent.removeAllListeners('free');
  agent.on('free', give);

  return {
    retire() {
      kept = 0;
      for (const { socket } of idle.splice(0)) socket.destroy();
    },
  };

  /** The one that was used last: it is the least likely to be closed on the other side. */
  function take(): Socket | undefined {
    for (let one = idle.pop(); one !== undefined; one = idle.pop()) {
      if (isSound(one)) return one.socket;
      one.socket.destroy();
    }
    return undefined;
  }

  function give(socket: unknown): void {
    if (!(socket instanceof Socket)) return;
    const request: unknown = Reflect.get(socket, '_httpMessage');
    const untilMs = request instanceof ClientRequest && request.shouldKeepAlive ? readPromise(request) : 0;
    // What is not read yet belongs to no request: the next one would take it for its answer.
    if (untilMs === 0 || idle.length >= kept || !socket.writable || socket.readableLength > 0) {
      socket.destroy();
      return;
    }
    // Else the last request is held for as long as the connection is.
    Reflect.set(socket, '_httpMessage', null);
    if (request instanceof ClientRequest && !request.reusedSocket) {
      // Without a listener the failure of an idle connection would be the end of the process.
      socket.on('error', ignore);
      socket.once('close', () => forget(socket));
    }
    idle.push({ socket, bytesRead: socket.bytesRead, untilMs });
  }

  function forget(socket: Socket): void {
    const index = idle.findIndex((one) => one.socket === socket);
    if (index !== -1) idle.splice(index, 1);
  }
}

/** Bytes that came while nobody had asked for anything would be read as the answer to the next request. */
function isSound({ socket, bytesRead, untilMs }: Idle): boolean {
  if (socket.destroyed || !socket.writable || socket.bytesRead !== bytesRead) return false;
  return untilMs === Number.POSITIVE_INFINITY || performance.now() < untilMs;
}

/** @returns how long the upstream said that it keeps the connection, ms of `performance.now()`; 0: not at all */
function readPromise(request: ClientRequest): number {
  const answer: unknown = Reflect.get(request, 'res');
  const said = answer instanceof IncomingMessage ? answer.headers['keep-alive'] : undefined;
  if (said === undefined) return Number.POSITIVE_INFINITY;
  const seconds = /(?:^|[\s,;])timeout=(\d+)/i.exec(String(said))?.[1];
  if (seconds === undefined) return Number.POSITIVE_INFINITY;
  const lasting = Number(seconds) * 1000 - marginMs;
  return lasting > 0 ? performance.now() + lasting : 0;
}

function ignore(): void {
  // `close` comes behind it.
}
