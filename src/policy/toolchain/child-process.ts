/** One child process at a time that runs OPA's tool chain: started by the first call, ended when idle, replaced when it dies. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';

import { failure } from './failure.ts';

/** A process that was started, and how it is talked to. */
export interface Wire {
  readonly process: ChildProcess;
  /** Only while no other request is under way. Either function may be called more than once; the first call counts. */
  ask(request: string, onAnswer: (answer: ChildAnswer) => void, onGone: (why: string) => void): void;
  /** An idle child must not keep the parent from ending; one that is asked something must. */
  keepLoopAlive(keep: boolean): void;
}

export interface ChildOptions {
  readonly start: () => Wire;
  /** Milliseconds without a call after which the child ends. */
  readonly idleMs: number;
  /** Milliseconds that one call may take, the start of the child included. */
  readonly deadlineMs: number;
  /** Whether others go before it: a sidecar that serves. */
  readonly inBackground: boolean;
}

export interface ChildAnswer {
  readonly json: string;
  readonly bytes: Uint8Array;
}

export interface ChildRunner {
  /** Calls are served one after the other. Rejects with a `PolicyError` if the child dies or is too slow. */
  call(request: string): Promise<ChildAnswer>;
  /** Starts the child, where there is none, for a call that will come within `idleMs`. */
  warmUp(): void;
  /** The process that serves calls now, if there is one. */
  pid(): number | undefined;
  close(): Promise<void>;
}

/** Enough of a Go panic to report, however much it prints. */
const stderrLimit = 4096;

export function createChildRunner(options: ChildOptions): ChildRunner {
  let current: Child | undefined;
  let idle: NodeJS.Timeout | undefined;
  let closed = false;
  let busy = 0;
  let last: Promise<unknown> = Promise.resolve();

  function open(): Child {
    clearTimeout(idle);
    if (current === undefined || current.ended()) current = startChild(options);
    return current;
  }

  function rest(child: Child): void {
    idle = setTimeout(() => void child.end(), options.idleMs).unref();
  }

  async function serve(request: string): Promise<ChildAnswer> {
    if (closed) throw failure('toolchain_closed', 'the tool chain was closed');
    const child = open();
    try {
      return await child.call(request, options.deadlineMs);
    } finally {
      rest(child);
    }
  }

  return {
    call(request) {
      busy += 1;
      const answer = last.then(() => serve(request)).finally(() => (busy -= 1));
      last = answer.catch(() => undefined);
      return answer;
    },
    warmUp() {
      if (!closed && busy === 0) rest(open());
    },
    pid: () => (current === undefined || current.ended() ? undefined : current.pid()),
    async close() {
      closed = true;
      clearTimeout(idle);
      await current?.end();
    },
  };
}

interface Child {
  call(request: string, deadlineMs: number): Promise<ChildAnswer>;
  ended(): boolean;
  pid(): number | undefined;
  end(): Promise<void>;
}

function startChild({ start, inBackground }: ChildOptions): Child {
  const { process: child, ask, keepLoopAlive } = start();
  let ended = false;
  let endedByUs = false;
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < stderrLimit) stderr += text.slice(0, stderrLimit - stderr.length);
  });
  const exited = Promise.race([once(child, 'exit'), once(child, 'error')]).then(
    ([reason]) => reason,
    (error: unknown) => error,
  );
  // A broken channel is an error of a child that may live on, and may be told again later.
  child.on('error', () => child.kill('SIGKILL'));
  void exited.then(() => {
    ended = true;
  });
  if (inBackground) stepBack(child);
  keepLoopAlive(false);

  async function end(): Promise<void> {
    ended = true;
    endedByUs = true;
    // Or a process that waits for this would end, with the wait unsettled.
    keepLoopAlive(true);
    // SIGKILL: a child that is busy inside the module hears no other signal, and it holds nothing that needs care.
    child.kill('SIGKILL');
    await exited;
  }

  async function call(request: string, deadlineMs: number): Promise<ChildAnswer> {
    keepLoopAlive(true);
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), deadlineMs);
    try {
      return await new Promise<ChildAnswer>((resolve, reject) => {
        stop.signal.onabort = () => {
          void end();
          reject(failure('toolchain_timeout', `the tool chain did not answer within ${deadlineMs} ms and was ended`));
        };
        const died = (why: string) => reject(failure('toolchain_died', withStderr(why, stderr)));
        void exited.then((reason) => {
          if (endedByUs) reject(failure('toolchain_closed', 'the tool chain was closed'));
          else died(`the tool chain's process ended: ${describe(reason, child)}`);
        });
        ask(request, resolve, (why) => {
          ended = true;
          died(why);
        });
      });
    } finally {
      clearTimeout(timer);
      keepLoopAlive(false);
    }
  }

  return { call, ended: () => ended, pid: () => child.pid, end };
}

/** A tenth of the share of who is ten steps above it, where there is not enough for both. */
const stepsBack = 10;
const lowestPriority = 19;

/** At once, so that the threads which the process starts have it too. */
function stepBack({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, Math.min(getPriority() + stepsBack, lowestPriority));
  } catch {
    // It has ended, which the call will tell, or the system does not let us: it is as fast as others then.
  }
}

function describe(reason: unknown, child: ChildProcess): string {
  if (reason instanceof Error) return reason.message;
  return child.signalCode ?? `exit code ${child.exitCode}`;
}

function withStderr(message: string, stderr: string): string {
  return stderr.trim() === '' ? message : `${message}\n${stderr.trim()}`;
}
