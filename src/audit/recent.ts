import type { AuditEvent } from '../types.ts';
import type { RecordObserver } from './record.ts';

/** The last requests that a policy decided, for whoever asks why. What is kept is what the record has: no content. */
export interface Recent {
  readonly observe: RecordObserver;
  find(decisionId: string): AuditEvent | undefined;
}

/** @param most events; the oldest leaves first */
export function createRecent(most: number): Recent {
  const events = new Map<string, AuditEvent>();

  return {
    observe(event) {
      if (event.decision_id === undefined || most === 0) return;
      events.set(event.decision_id, event);
      if (events.size <= most) return;
      const oldest = events.keys().next();
      if (oldest.done !== true) events.delete(oldest.value);
    },
    find: (decisionId) => events.get(decisionId),
  };
}
