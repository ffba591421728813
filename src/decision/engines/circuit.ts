/**
 * Stops asking what does not answer, and finds out by itself when it does again. Requests are never used to try: what is
 * down is asked nothing on a caller's behalf, and a sidecar that gets no requests while it is not ready recovers as well.
 */

export interface CircuitOptions {
  /** Failures in a row after which nothing is asked any more. */
  readonly failures: number;
  /** Between two probes, ms. */
  readonly resetMs: number;
  /** Asks whether it answers again. @returns why not; undefined where it does. Never rejects. */
  readonly probe: () => Promise<string | undefined>;
}

export interface Circuit {
  /** Why nothing may be asked; undefined where it may. */
  broken(): string | undefined;
  succeeded(): void;
  failed(reason: string): void;
  /** Asks at once, and goes on asking until there is an answer. @returns after the first probe */
  start(): Promise<void>;
  close(): void;
}

/** Broken until `start` has found an answer. */
export function createCircuit({ failures, resetMs, probe }: CircuitOptions): Circuit {
  let inARow = 0;
  let reason: string | undefined = 'it was not asked yet';
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function look(): Promise<void> {
    const refusal = await probe();
    if (closed) return;
    reason = refusal;
    if (refusal === undefined) inARow = 0;
    else later();
  }

  function later(): void {
    timer = setTimeout(() => void look(), resetMs);
    // A probe is no reason for a process to stay, `opallama check` for one.
    timer.unref();
  }

  return {
    broken: () => reason,
    succeeded() {
      inARow = 0;
    },
    failed(why) {
      inARow += 1;
      // Those that were under way when it broke fail too; one probe is enough.
      if (inARow < failures || reason !== undefined || closed) return;
      reason = why;
      later();
    },
    start: look,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
