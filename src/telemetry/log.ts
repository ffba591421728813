/** Logs for operators, on standard error: standard output belongs to the audit events. */
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';

import type { Config } from '../configured/config.ts';

export type { Logger };

/** Where lines go. */
export interface LogOutput {
  write(lines: string): void;
  flush?(done?: (error?: Error) => void): void;
  flushSync?(): void;
}

export interface LogOptions {
  /** For commands that end at once. */
  readonly sync?: boolean;
  /** In the place of standard error. */
  readonly output?: LogOutput;
  /** Members of each line. */
  readonly base?: Readonly<Record<string, unknown>>;
}

export function createLogger(
  level: Config['log']['level'],
  { sync = false, output = destination({ fd: 2, sync }), base }: LogOptions = {},
): Logger {
  return pino(
    {
      level,
      base: base ?? null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
}

/** @param keep is given each line too */
export function openLogOutput(keep: (line: string) => void): LogOutput {
  const output = destination({ fd: 2, sync: false });
  return {
    write(line) {
      keep(line);
      output.write(line);
    },
    // What pino calls of a destination, beside writing.
    flush: (done) => output.flush(done),
    flushSync: () => output.flushSync(),
  };
}
