/** The workers of a sidecar: as many as are wanted, each replaced when it ends without being told to. */
import cluster from 'node:cluster';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Start, ToWorker } from '../messages.ts';
import { type Death, type Remark, startWorker, type WorkerProcess } from './worker-process.ts';

export interface FleetOptions {
  readonly count: number;
  /** What a worker begins with, as it is at that moment. */
  readonly begin: () => Omit<Start, 'number'>;
  /** Brings one to where the others are; from its first moment on it is told what they are. */
  readonly catchUp: (worker: WorkerProcess) => Promise<void>;
  readonly onRemark: (worker: WorkerProcess, remark: Remark) => void;
  /** The event loop of a worker turns, or it serves nobody that could wait for it. */
  readonly onTurn: (number: number) => void;
  /** It has not turned for so long, ms, that it is ended. */
  readonly onStuck: (worker: WorkerProcess, silentMs: number) => void;
  readonly onDeath: (worker: WorkerProcess, death: Death, retryMs: number) => void;
  /** A successor could not be started; it is tried again. */
  readonly onNotStarted: (number: number, error: unknown) => void;
  readonly onReplaced: (worker: WorkerProcess) => void;
  /** For tests. */
  readonly stuckMs?: number;
}

export interface Fleet {
  /** @throws what the first worker failed of that could not be started */
  start(): Promise<void>;
  /** Those that are told what the others are told. */
  joined(): readonly WorkerProcess[];
  /** Those that take connections. */
  serving(): readonly WorkerProcess[];
  broadcast(message: ToWorker): void;
  /** All take connections from now on. @returns the port @throws the error of binding it */
  serve(): Promise<number>;
  /** Replaces none any more. */
  stop(): void;
  /** Ends those that are left. */
  kill(): Promise<void>;
}

interface Seat {
  readonly number: number;
  worker: WorkerProcess | undefined;
  state: 'gone' | 'starting' | 'joined' | 'serving';
  /** Since it was heard of, in turns of this process: one that was suspended itself must not take all others for stuck. */
  silentTurns: number;
  retryMs: number;
  retry: NodeJS.Timeout | undefined;
}

/** To read keys and lists, to ask issuers; and on a machine that is busy with other workers. */
const startMs = 60_000;
const serveMs = 20_000;
const firstRetryMs = 100;
const longestRetryMs = 10_000;
/** Whoever lived for so long did not die of how it was started. */
const livedMs = 30_000;
const turnMs = 250;
/** Longer than `/healthz` waits: whoever watches that has heard of it. */
const usualStuckMs = 20_000;

// Run from the source by Node it is main.ts, from the package main.js.
const script = fileURLToPath(new URL(`../child/main${extname(import.meta.url)}`, import.meta.url));

export function createFleet(options: FleetOptions): Fleet {
  const seats = Array.from({ length: options.count }, (_, index): Seat => {
    return {
      number: index + 1,
      worker: undefined,
      state: 'gone',
      silentTurns: 0,
      retryMs: firstRetryMs,
      retry: undefined,
    };
  });
  let isServing = false;
  let stopped = false;
  // One after the other in turn: left to themselves the processes would take connections as they wake, and most would go to one.
  cluster.schedulingPolicy = cluster.SCHED_RR;
  cluster.setupPrimary({ exec: script, args: [], serialization: 'advanced' });
  const turning = setInterval(lookAtAll, turnMs).unref();

  return {
    async start() {
      try {
        await Promise.all(seats.map(fill));
      } catch (error) {
        stop();
        await kill();
        throw error;
      }
    },
    joined,
    serving: () => workersIn('serving'),
    broadcast(message) {
      for (const worker of joined()) worker.send(message);
    },
    async serve() {
      isServing = true;
      const ports = await Promise.all(seats.filter(({ state }) => state === 'joined').map(open));
      return ports[0] ?? 0;
    },
    stop,
    kill,
  };

  function lookAtAll(): void {
    for (const seat of seats) {
      if (seat.state !== 'serving') options.onTurn(seat.number);
      seat.silentTurns = seat.state === 'serving' ? seat.silentTurns + 1 : 0;
      if (seat.worker === undefined || seat.silentTurns * turnMs < (options.stuckMs ?? usualStuckMs)) continue;
      options.onStuck(seat.worker, seat.silentTurns * turnMs);
      seat.worker.kill();
    }
  }

  function workersIn(...states: readonly Seat['state'][]): readonly WorkerProcess[] {
    return seats.flatMap(({ worker, state }) => (worker !== undefined && states.includes(state) ? [worker] : []));
  }

  function joined(): readonly WorkerProcess[] {
    return workersIn('joined', 'serving');
  }

  function stop(): void {
    stopped = true;
    for (const { retry } of seats) clearTimeout(retry);
  }

  async function kill(): Promise<void> {
    clearInterval(turning);
    const left = workersIn('starting', 'joined', 'serving');
    for (const worker of left) worker.kill();
    await Promise.all(left.map(({ gone }) => gone));
  }

  /** Starts the worker of a seat. Rejects where it fails before it is where the others are; it has ended then. */
  async function fill(seat: Seat): Promise<void> {
    const { number } = seat;
    const began = performance.now();
    const worker = startWorker(number, {
      onRemark: (remark) => options.onRemark(worker, remark),
      onTurn() {
        seat.silentTurns = 0;
        options.onTurn(number);
      },
    });
    seat.worker = worker;
    seat.state = 'starting';
    void worker.gone.then((death) => {
      seat.state = 'gone';
      if (stopped) return;
      if (performance.now() - began > livedMs) seat.retryMs = firstRetryMs;
      options.onDeath(worker, death, seat.retryMs);
      retryLater(seat);
    });
    try {
      await worker.ask('start', { ...options.begin(), number }, startMs);
      // In this order: what is told from now on is told behind what it catches up with.
      seat.state = 'joined';
      await options.catchUp(worker);
      if (isServing) await open(seat);
    } catch (error) {
      worker.kill();
      await worker.gone;
      throw error;
    }
  }

  async function open(seat: Seat): Promise<number> {
    const port = (await seat.worker?.ask('serve', undefined, serveMs)) ?? 0;
    if (seat.state === 'joined') seat.state = 'serving';
    return port;
  }

  function retryLater(seat: Seat): void {
    const afterMs = seat.retryMs;
    seat.retryMs = Math.min(afterMs * 2, longestRetryMs);
    seat.retry = setTimeout(() => {
      fill(seat).then(
        () => {
          if (seat.worker !== undefined) options.onReplaced(seat.worker);
        },
        (error: unknown) => {
          if (!stopped) options.onNotStarted(seat.number, error);
        },
      );
    }, afterMs);
  }
}
