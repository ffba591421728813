import type { AuditEvent } from '../types.ts';
import type { RecordObserver } from './record.ts';

/** How often one revision decided, and which codes it gave. */
export interface TalliedRevision {
  readonly decisions: Readonly<Record<'allow' | 'deny' | 'error', number>>;
  readonly codes: ReadonlyMap<string, number>;
  /** Reasons of more different codes than are counted one by one. */
  readonly others: number;
}

export interface Tally {
  readonly observe: RecordObserver;
  /** By revision, as in the event: of several policies those of all, joined by commas. */
  revisions(): ReadonlyMap<string, TalliedRevision>;
}

const mostRevisions = 20;
/** A policy may make codes of what callers say. */
const mostCodes = 500;

interface Counts extends TalliedRevision {
  decisions: Record<'allow' | 'deny' | 'error', number>;
  codes: Map<string, number>;
  others: number;
}

/** Counts decisions by the revision that made them and by the codes of their reasons. */
export function createTally(): Tally {
  const revisions = new Map<string, Counts>();

  return {
    revisions: () => revisions,
    observe({ policy_result: result, revision, reasons }: AuditEvent) {
      if (result === 'none' || revision === undefined) return;
      const counts = countsOf(revision);
      counts.decisions[result] += 1;
      for (const code of new Set(reasons)) {
        const count = counts.codes.get(code);
        if (count === undefined && counts.codes.size >= mostCodes) counts.others += 1;
        else counts.codes.set(code, (count ?? 0) + 1);
      }
    },
  };

  function countsOf(revision: string): Counts {
    let counts = revisions.get(revision);
    if (counts !== undefined) return counts;
    counts = { decisions: { allow: 0, deny: 0, error: 0 }, codes: new Map(), others: 0 };
    revisions.set(revision, counts);
    if (revisions.size > mostRevisions) {
      const oldest = revisions.keys().next();
      if (oldest.done !== true) revisions.delete(oldest.value);
    }
    return counts;
  }
}
