/** One child process at a time that runs the module: started by the first call, ended when idle, replaced when it dies. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChildReply, ChildRequest } from './child.ts';
import { failure } from './failure.ts';

export interface ChildOptions {
  /** The file of the WebAssembly module. */
  readonly wasmFile: string;
  /** Milliseconds without a call after which the child ends. */
  readonly idleMs: number;
  /** Milliseconds that one call may take, the start of the child included. */
  readonly deadlineMs: number;
}

export interface ChildAnswer {
  readonly json: string;
  readonly bytes: Uint8Array;
}

export interface ChildRunner {
  /** Calls are served one after the other. Rejects with a `PolicyError` if the child dies or is too slow. */
  call(request: ChildRequest['request']): Promise<ChildAnswer>;
  /** The process that serves calls now, if there is one. */
  pid(): number | undefined;
  close(): Promise<void>;
}

// Run from the source by Node it is child.ts, from the package child.js.
const script = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));

/** Enough of a Go panic to report, however much it prints. */
const stderrLimit = 4096;

export function createChildRunner(options: ChildOptions): ChildRunner {
  let current: Child | undefined;
  let idle: NodeJS.Timeout | undefined;
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  async function serve(request: ChildRequest['request']): Promise<ChildAnswer> {
    if (closed) throw failure('toolchain_closed', 'the tool chain was closed');
    clearTimeout(idle);
    if (current === undefined || current.ended()) current = startChild(options.wasmFile);
    const child = current;
    try {
      return await child.call(request, options.deadlineMs);
    } finally {
      idle = setTimeout(() => void child.end(), options.idleMs).unref();
    }
  }

  return {
    call(request) {
      const answer = last.then(() => serve(request));
      last = answer.catch(() => undefined);
      return answer;
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
  call(request: ChildRequest['request'], deadlineMs: number): Promise<ChildAnswer>;
  ended(): boolean;
  pid(): number | undefined;
  end(): Promise<void>;
}

function startChild(wasmFile: string): Child {
  const child = fork(script, [wasmFile], {
    // Neither the parent's environment nor its flags: there are secrets in the one and debugger ports in the other.
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
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
  keepLoopAlive(child, false);

  async function end(): Promise<void> {
    ended = true;
    endedByUs = true;
    // Or a process that waits for this would end, with the wait unsettled.
    keepLoopAlive(child, true);
    // SIGKILL: a child that is busy inside the module hears no other signal, and it holds nothing that needs care.
    child.kill('SIGKILL');
    await exited;
  }

  async function call(request: ChildRequest['request'], deadlineMs: number): Promise<ChildAnswer> {
    keepLoopAlive(child, true);
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), deadlineMs);
    try {
      return await new Promise<ChildAnswer>((resolve, reject) => {
        stop.signal.onabort = () => {
          void end();
          reject(failure('toolchain_timeout', `the tool chain did not answer within ${deadlineMs} ms and was ended`));
        };
        const died = (why: string) => reject(failure('toolchain_died', withStderr(why, stderr)));
        child.once('message', (reply: ChildReply) => {
          if (!('died' in reply)) return resolve(reply);
          ended = true;
          died(`the tool chain's process failed: ${reply.died}`);
        });
        void exited.then((reason) => {
          if (endedByUs) reject(failure('toolchain_closed', 'the tool chain was closed'));
          else died(`the tool chain's process ended: ${describe(reason, child)}`);
        });
        child.send({ request } satisfies ChildRequest, (error) => {
          if (error) died(`the tool chain's process is gone: ${error.message}`);
        });
      });
    } finally {
      clearTimeout(timer);
      child.removeAllListeners('message');
      keepLoopAlive(child, false);
    }
  }

  return { call, ended: () => ended, pid: () => child.pid, end };
}

/** An idle child must not keep the parent from ending; one that is asked something must. */
function keepLoopAlive(child: ChildProcess, keep: boolean): void {
  const verb = keep ? 'ref' : 'unref';
  child[verb]();
  child.channel?.[verb]();
  if (child.stderr instanceof Socket) child.stderr[verb]();
}

function describe(reason: unknown, child: ChildProcess): string {
  if (reason instanceof Error) return reason.message;
  return child.signalCode ?? `exit code ${child.exitCode}`;
}

function withStderr(message: string, stderr: string): string {
  return stderr.trim() === '' ? message : `${message}\n${stderr.trim()}`;
}
