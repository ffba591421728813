/** Logs for operators, on standard error: standard output belongs to the audit events. */
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';

import type { Config } from '../types.ts';

export type { Logger };

export interface LogOptions {
  /** For commands that end at once. */
  readonly sync?: boolean;
  /** Is given each line too. */
  readonly keep?: (line: string) => void;
}

export function createLogger(level: Config['log']['level'], { sync = false, keep }: LogOptions = {}): Logger {
  const output = destination({ fd: 2, sync });
  return pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    keep === undefined ? output : withCopy(output, keep),
  );
}

function withCopy(output: ReturnType<typeof destination>, keep: (line: string) => void) {
  return {
    write(line: string): void {
      keep(line);
      output.write(line);
    },
    // What pino calls of a destination, beside writing.
    flush: (done?: (error?: Error) => void) => output.flush(done),
    flushSync: () => output.flushSync(),
  };
}
