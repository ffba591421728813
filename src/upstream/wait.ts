/**
 * The wait for the head of an answer. A timer for each request would cost 5 % of its CPU time; one for each connection is
 * set anew by every request that takes it.
 */
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';

export interface Wait {
  /** To be called once: a second time it could be the wait of the next request. */
  end(): void;
}

class ConnectionTimer implements Wait {
  #outgoing: ClientRequest | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Socket, ms: number, timeout: () => Error) {
    this.#timer = setTimeout(() => this.#outgoing?.destroy(timeout()), ms).unref();
    socket.once('close', () => clearTimeout(this.#timer));
  }

  start(outgoing: ClientRequest): this {
    this.#outgoing = outgoing;
    this.#timer.refresh();
    return this;
  }

  /** The timer goes on: where nothing waits it finds nobody. */
  end(): void {
    this.#outgoing = undefined;
  }
}

/**
 * @param ms longest wait; not 0
 * @param timeout what a request that waited too long is destroyed with
 */
export function createWaits(ms: number, timeout: () => Error): (outgoing: ClientRequest, socket: Socket) => Wait {
  const timers = new WeakMap<Socket, ConnectionTimer>();
  return (outgoing, socket) => {
    let timer = timers.get(socket);
    if (timer === undefined) {
      timer = new ConnectionTimer(socket, ms, timeout);
      timers.set(socket, timer);
    }
    return timer.start(outgoing);
  };
}
