/** One worker, seen from the primary: how it is started, asked, heard and ended. */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { unpackError } from '../failure.ts';
import type { FromWorker, Questions, Subject, ToWorker, Vitals } from '../messages.ts';

/** What a worker says that is no answer. */
export type Remark = Extract<FromWorker, { readonly kind: 'records' | 'admit' | 'log' }>;

export interface Death {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface WorkerProcess {
  /** From 1; its successor has the same. */
  readonly number: number;
  readonly pid: number | undefined;
  /** Unix time. */
  readonly startedMs: number;
  /** The latest; undefined before the first. */
  vitals(): Vitals | undefined;
  /** Rejects with what it failed of, where it ends meanwhile, and where it takes longer than `withinMs`. */
  ask<S extends Subject>(about: S, ask: Questions[S]['ask'], withinMs: number): Promise<Questions[S]['answer']>;
  send(message: ToWorker): void;
  /** Ends it whatever it does. */
  kill(): void;
  /** Once it has ended and all that it said was heard. Never rejects. */
  readonly gone: Promise<Death>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  readonly timer: NodeJS.Timeout;
}

/** @param onTurn its event loop turns */
export function startWorker(
  number: number,
  { onRemark, onTurn }: { readonly onRemark: (remark: Remark) => void; readonly onTurn: () => void },
): WorkerProcess {
  const worker: Worker = cluster.fork();
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let vitals: Vitals | undefined;
  let isGone = false;

  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'vitals') {
      // Said now and then.
      vitals = { ...message.vitals, identity: message.vitals.identity ?? vitals?.identity };
      onTurn();
    } else if (message.kind === 'answer') settle(message.id)?.resolve(message.value);
    else if (message.kind === 'failed') settle(message.id)?.reject(unpackError(message.failure));
    else onRemark(message);
  });
  const gone = watchDeath(worker).then((death) => {
    isGone = true;
    for (const id of waiting.keys()) settle(id)?.reject(new Error(`Worker ${number} has ended.`));
    return death;
  });

  return {
    number,
    pid: worker.process.pid,
    startedMs: Date.now(),
    vitals: () => vitals,
    ask<S extends Subject>(about: S, ask: Questions[S]['ask'], withinMs: number) {
      const { promise, resolve, reject } = Promise.withResolvers<Questions[S]['answer']>();
      if (isGone) reject(new Error(`Worker ${number} has ended.`));
      lastId += 1;
      const id = lastId;
      const late = (): void => settle(id)?.reject(new Error(`Worker ${number} did not answer within ${withinMs} ms.`));
      waiting.set(id, { resolve, reject, timer: setTimeout(late, withinMs) });
      write({ kind: 'ask', id, about, ask });
      return promise;
    },
    send: write,
    kill: () => void worker.process.kill('SIGKILL'),
    gone,
  };

  function write(message: object): void {
    // One that is about to end takes nothing any more; whoever waits for it hears of its end.
    if (worker.isConnected()) worker.send(message, () => {});
  }

  function settle(id: number): Waiting | undefined {
    const one = waiting.get(id);
    clearTimeout(one?.timer);
    waiting.delete(id);
    return one;
  }
}

async function watchDeath(worker: Worker): Promise<Death> {
  // What it said before its end may still be in the channel.
  const disconnected = new Promise<void>((resolve) => worker.once('disconnect', () => resolve()));
  const failed = new Promise<Death>((resolve) => worker.once('error', () => resolve({ code: null, signal: null })));
  const exited = once(worker, 'exit').then(([code, signal]) => ({ code, signal }));
  const death = await Promise.race([exited, failed]);
  if (worker.process.pid !== undefined) await disconnected;
  return death;
}
