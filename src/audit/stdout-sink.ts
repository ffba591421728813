/**
 * Audit events as JSON lines on standard output, where a container's log collector takes them. Written by pino, which
 * escapes what callers chose (a model's name, a subject) so that nobody can write a line of their own.
 */
import { type DestinationStream, destination, pino } from 'pino';

import type { AuditEvent } from '../types.ts';
import type { RecordObserver } from './record.ts';

export interface AuditSink {
  readonly observe: RecordObserver;
  /** Writes what is still buffered, as far as the descriptor takes it. Never throws. */
  flush(): void;
}

/** @param onFailure told of each failed write; the event is lost then, and that has to be counted */
export function createStdoutSink(onFailure: (error: unknown) => void): AuditSink {
  // Not synchronous: a reader that is slow must not stop the event loop. What is buffered is flushed at the end.
  const stream = destination({ fd: 1, sync: false });
  stream.on('error', onFailure);
  return {
    observe: createAuditObserver(stream, onFailure),
    flush() {
      try {
        stream.flushSync();
      } catch (error) {
        onFailure(error);
      }
    },
  };
}

/** The writing half, for any destination that pino takes. */
export function createAuditObserver(stream: DestinationStream, onFailure: (error: unknown) => void): RecordObserver {
  // The event has its own time and no level: what begins each line is what tells it from logs.
  const lines = pino({ base: null, timestamp: false, formatters: { level: () => ({ event: 'audit' }) } }, stream);
  return (event: AuditEvent) => {
    try {
      lines.info(event);
    } catch (error) {
      onFailure(error);
    }
  };
}
