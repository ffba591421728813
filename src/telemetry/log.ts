/** Logs for operators, on standard error: standard output belongs to the audit events. */
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';

import type { Config } from '../types.ts';

export type { Logger };

/** @param sync true for commands that end at once */
export function createLogger(level: Config['log']['level'], sync = false): Logger {
  return pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination({ fd: 2, sync }),
  );
}
