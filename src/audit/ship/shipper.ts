/**
 * A sink that brings records to another machine: gathered for a moment, sent in batches, sent again with pauses where that
 * fails, and bounded. A request costs one reference in a buffer.
 */
import type { AuditSink, Recorded } from '../sink.ts';

/** What was not delivered, and why. Anything else that `deliver` rejects with is tried again. */
export class NotDelivered extends Error {
  override readonly name = 'NotDelivered';
  /** Records of the batch that will never be taken; the others were. `all`: each of them. */
  readonly lost: number | 'all';

  constructor(message: string, lost: number | 'all' = 'all', options?: ErrorOptions) {
    super(message, options);
    this.lost = lost;
  }
}

/** A queue of fixed size, which forgets its oldest value for a new one. */
export interface Queue<T> {
  /** @returns whether another one was lost for it */
  push(value: T): boolean;
  shift(): T | undefined;
  size(): number;
}

export interface ShipperOptions {
  readonly name: string;
  readonly queue: Queue<Recorded>;
  /** At once. */
  readonly batch: number;
  /** Until a batch is sent that is not full, ms. */
  readonly delayMs: number;
  /** Brings them there, or rejects. */
  readonly deliver: (records: readonly Recorded[], signal: AbortSignal) => Promise<void>;
  /** How long to wait behind so many failures in a row, ms. */
  readonly pauseMs: (failures: number) => number;
  readonly events: ShipperEvents;
  /** For what is left when the sidecar ends, ms. */
  readonly closeMs: number;
  /** Lets go of connections. */
  readonly release?: () => void;
}

export interface ShipperEvents {
  lost(count: number): void;
  /** Told of the first failure in a row. */
  failing(error: unknown): void;
  recovered(failures: number): void;
  /** Told of records that the receiver does not want. */
  refused(error: NotDelivered, count: number): void;
}

export function createShipper(options: ShipperOptions): AuditSink {
  const { queue, events } = options;
  const controller = new AbortController();
  let current: Recorded[] = [];
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let closed = false;

  return {
    name: options.name,
    write(recorded) {
      if (closed) events.lost(1);
      else if (queue.push(recorded)) events.lost(1);
      // Behind a failure its pause stands, however much comes.
      if (failures === 0 && queue.size() >= options.batch) plan(0);
      else if (timer === undefined) plan(options.delayMs);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      const end = setTimeout(() => controller.abort(), options.closeMs);
      await running;
      while (!controller.signal.aborted && current.length + queue.size() > 0) {
        await send();
        if (failures > 0) await wait(Math.min(options.pauseMs(failures), 250), controller.signal);
      }
      clearTimeout(end);
      const left = current.length + queue.size();
      if (left > 0) events.lost(left);
      options.release?.();
    },
  };

  function plan(ms: number): void {
    if (closed || running !== undefined) return;
    clearTimeout(timer);
    timer = setTimeout(start, ms).unref();
  }

  function start(): void {
    timer = undefined;
    running = work().finally(() => {
      running = undefined;
      if (current.length + queue.size() > 0) plan(failures > 0 ? options.pauseMs(failures) : options.delayMs);
    });
  }

  /** Until nothing is left or something fails. Never rejects. */
  async function work(): Promise<void> {
    do await send();
    while (failures === 0 && !closed && queue.size() > 0);
  }

  async function send(): Promise<void> {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      current.push(next);
      if (current.length >= options.batch) break;
    }
    if (current.length === 0) return;
    try {
      await options.deliver(current, controller.signal);
    } catch (error) {
      if (!(error instanceof NotDelivered)) {
        failures += 1;
        if (failures === 1) events.failing(error);
        return;
      }
      const count = error.lost === 'all' ? current.length : error.lost;
      events.lost(count);
      events.refused(error, count);
    }
    if (failures > 0) events.recovered(failures);
    failures = 0;
    current = [];
  }
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
