/** Bounds how often the same thing is told, for lines of the log that anybody who reaches a port can cause. */

export interface SparseOptions {
  /** Told at most so often within `perMs`. */
  readonly most: number;
  readonly perMs: number;
  /** Called when the time is over, with how many were left out; never with 0. */
  readonly onLeftOut: (kind: string, count: number) => void;
}

export interface Sparse {
  /** @param kind of a small fixed set, each bounded on its own: one must not hide another */
  admits(kind: string): boolean;
  /** Tells what was left out until now. */
  close(): void;
}

export function createSparse(options: SparseOptions): Sparse {
  const spans = new Map<string, { admitted: number; leftOut: number; readonly timer: NodeJS.Timeout }>();

  return {
    admits(kind) {
      let span = spans.get(kind);
      if (span === undefined) {
        span = { admitted: 0, leftOut: 0, timer: setTimeout(() => end(kind), options.perMs).unref() };
        spans.set(kind, span);
      }
      if (span.admitted < options.most) {
        span.admitted += 1;
        return true;
      }
      span.leftOut += 1;
      return false;
    },
    close() {
      for (const kind of [...spans.keys()]) end(kind);
    },
  };

  function end(kind: string): void {
    const span = spans.get(kind);
    if (span === undefined) return;
    clearTimeout(span.timer);
    spans.delete(kind);
    if (span.leftOut > 0) options.onLeftOut(kind, span.leftOut);
  }
}
