/**
 * How the sidecar leaves: it is not ready from the first moment, goes on taking requests while others still learn of that,
 * then refuses them, and waits for those in flight. Kubernetes takes a pod out of a Service and tells it to stop at the
 * same time; whoever has not heard of the former yet still sends requests here.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** `leaving`: takes requests and asks that connections end with them; `refusing`: takes none. */
export type DrainState = 'serving' | 'leaving' | 'refusing';

export interface DrainReport {
  /** Nothing was in flight any more before the time was over. */
  readonly drained: boolean;
  readonly inFlight: number;
  readonly waitedMs: number;
}

export interface Drain {
  state(): DrainState;
  /**
   * Starts to leave, or joins whoever did so already. Never rejects.
   *
   * @param options.delayMs as configured by default
   * @returns once nothing is in flight, or the grace is over
   */
  leave(options?: { readonly delayMs?: number }): Promise<DrainReport>;
  /** As `leave`, but serves again where `stay` is not called within the hold: who drained did not stop us. */
  leaveForNow(): Promise<DrainReport>;
  /** From now on there is no way back. */
  stay(): void;
}

export interface DrainOptions {
  readonly delayMs: number;
  /** Behind the delay. */
  readonly graceMs: number;
  readonly holdMs: number;
  /** Of this moment. */
  readonly inFlight: () => number | Promise<number>;
  readonly onChange: (state: DrainState) => void;
}

/** How soon the end of the last request is seen. */
const lookMs = 20;

export function createDrain({ delayMs, graceMs, holdMs, inFlight, onChange }: DrainOptions): Drain {
  let state: DrainState = 'serving';
  let under: Promise<DrainReport> | undefined;
  let forGood = false;
  const shortened = new AbortController();

  return { state: () => state, leave, leaveForNow, stay };

  function leave({ delayMs: shorter = delayMs } = {}): Promise<DrainReport> {
    if (shorter === 0) shortened.abort();
    under ??= run();
    return under;
  }

  async function leaveForNow(): Promise<DrainReport> {
    const joined = leave();
    const report = await joined;
    // The hold of the first who waited counts for all; a timer keeps no process alive.
    setTimeout(() => {
      if (forGood || under !== joined) return;
      under = undefined;
      change('serving');
    }, holdMs).unref();
    return report;
  }

  function stay(): void {
    forGood = true;
  }

  async function run(): Promise<DrainReport> {
    const began = performance.now();
    change('leaving');
    if (delayMs > 0) await sleep(delayMs, undefined, { signal: shortened.signal }).catch(() => {});
    change('refusing');
    const deadline = performance.now() + graceMs;
    let left = await inFlight();
    while (left > 0 && performance.now() < deadline) {
      await sleep(lookMs);
      left = await inFlight();
    }
    return { drained: left === 0, inFlight: left, waitedMs: Math.round(performance.now() - began) };
  }

  function change(next: DrainState): void {
    if (state === next) return;
    state = next;
    onChange(next);
  }
}
