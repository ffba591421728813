/** A command of the project's as a process of its own, for tests of what a person would see. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Running {
  readonly process: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Waits until lines of standard error say so, at most 120 s. @returns the match */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits for a line of standard output, at most 120 s. */
  waitForLine(pattern: RegExp): Promise<string>;
  /** SIGTERM, then the exit code. */
  stop(): Promise<number | null>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export function run(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(command, args, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    // Nobody has to hear first that a test's sidecar goes.
    env: { ...process.env, OPALLAMA_SHUTDOWN__DELAY: '0s', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: npm passes no signal on to what it runs, a terminal tells the whole group.
    detached: true,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // Not before all that it said has been read.
  const exited = once(child, 'close');
  const poll = async <T>(read: () => T | undefined | null, ms: number): Promise<T> => {
    for (const deadline = Date.now() + ms; Date.now() < deadline; await sleep(20)) {
      const found = read();
      if (found !== undefined && found !== null) return found;
      if (child.exitCode !== null) break;
    }
    throw new Error(`not seen; exit code ${child.exitCode}\n${stderr}\n${stdout}`);
  };
  return {
    process: child,
    stdout: () => stdout,
    stderr: () => stderr,
    waitFor: (pattern) => poll(() => pattern.exec(whole(stderr)), 120_000),
    waitForLine: (pattern) =>
      poll(
        () =>
          whole(stdout)
            .split('\n')
            .find((line) => pattern.test(line)),
        60_000,
      ),
    async stop() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
      await exited;
      return child.exitCode;
    },
  };
}

/** Without the beginning of a line whose end is still to come. */
function whole(text: string): string {
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
