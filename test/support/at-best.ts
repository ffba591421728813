/** For tests with limits of time, which a busy or slow machine breaks though what is tested keeps them. */
import type { TestContext, TestOptions } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Of several rounds the shortest one: a busy machine makes some longer, and none shorter.
 *
 * @param limitMs a round that took less ends it; there are ten at most
 * @param round how long it took, ms
 * @returns the shortest one, ms
 */
export async function atBest(limitMs: number, round: () => Promise<number> | number): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let rounds = 0; rounds < 10 && !(best < limitMs); rounds += 1) best = Math.min(best, await round());
  return best;
}

// As they are: a test may have put others in their place.
const { setInterval, clearInterval } = globalThis;

/**
 * Carries out what has to happen within a short time. Where it fails and this process was held up meanwhile, it is carried
 * out anew, ten times at most; a failure of a process that was never held up is one at once.
 *
 * @param heldUpMs how long the event loop must have stood still for that; well under the margin of the scenario's times
 */
export async function undisturbed<T>(heldUpMs: number, scenario: () => Promise<T>): Promise<T> {
  for (let round = 1; ; round += 1) {
    let [longest, last] = [0, performance.now()];
    const look = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - last - 5);
      last = now;
    };
    const timer = setInterval(look, 5);
    try {
      return await scenario();
    } catch (error) {
      look();
      if (round === 10 || longest < heldUpMs) throw error;
      // What the failed round left behind comes to its end.
      await sleep(300);
    } finally {
      clearInterval(timer);
    }
  }
}

type Run = (t: TestContext) => void | Promise<void>;

/** @returns `test` or `it`, each body of which `undisturbed` carries out */
export function patient(
  define: (name: string, options: TestOptions, run: (t: TestContext) => Promise<void>) => unknown,
  heldUpMs = 25,
): (name: string, ...rest: [run: Run] | [options: TestOptions, run: Run]) => void {
  return (name, ...rest) => {
    const [options, run] = rest.length === 1 ? [{}, rest[0]] : rest;
    define(name, options, (t) => undisturbed(heldUpMs, async () => run(t)));
  };
}
