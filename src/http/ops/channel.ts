/**
 * Messages between two threads that each reads without an event: the first event of a port makes Node load undici, of which
 * it takes the class of that event, and so 5 to 8 MB in each thread.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

export interface ChannelEnd {
  readonly port: MessagePort;
  /** Two numbers, rung by whoever has written: 0 wakes the event loop, 1 the thread. */
  readonly bells: Int32Array;
  readonly own: 0 | 1;
}

export interface Channel {
  send(message: unknown): void;
  /** Calls nobody any more. */
  close(): void;
}

/** @param onMessage called with each message in its order; what it throws is not caught */
export function openChannel<T>({ port, bells, own }: ChannelEnd, onMessage: (message: T) => void): Channel {
  const other = own === 0 ? 1 : 0;
  let isClosed = false;
  void listen();
  return {
    send(message) {
      port.postMessage(message);
      ring(other);
    },
    close() {
      isClosed = true;
      ring(own);
      port.close();
    },
  };

  async function listen(): Promise<void> {
    while (!isClosed) {
      // Before the messages are read: what comes behind that has rung again.
      const seen = Atomics.load(bells, own);
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
        onMessage(next.message);
      const rung = Atomics.waitAsync(bells, own, seen);
      if (rung.async) await rung.value;
    }
  }

  function ring(bell: number): void {
    Atomics.add(bells, bell, 1);
    Atomics.notify(bells, bell);
  }
}
