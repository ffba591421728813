/** Bounds how often somebody may ask, for many somebodies in bounded memory. */

export interface Rates {
  /** @returns 0 where it may ask now, and it is counted; else how long it has to wait, ms, and nothing is counted */
  take(key: string): number;
}

/**
 * @param perMinute so many at once, and as many again spread over each minute
 * @param most keys that are remembered; beyond them whoever has not asked for longest begins anew
 * @param now a clock that does not jump, ms
 */
export function createRates(
  perMinute: number,
  most: number,
  now: () => number = performance.now.bind(performance),
): Rates {
  const everyMs = 60_000 / perMinute;
  // When the whole allowance of a key is there again (GCRA): one number for each. The last to ask stand at the end.
  const whole = new Map<string, number>();

  return {
    take(key) {
      const at = now();
      const wholeAt = Math.max(whole.get(key) ?? 0, at);
      const waitMs = wholeAt + everyMs - at - 60_000;
      // A fraction of the last interval is lost to rounding, never gained.
      if (waitMs > 1e-6) return waitMs;
      whole.delete(key);
      whole.set(key, wholeAt + everyMs);
      if (whole.size > most) forgetFirst(whole);
      return 0;
    },
  };
}

function forgetFirst(map: Map<string, number>): void {
  const first = map.keys().next();
  if (first.done !== true) map.delete(first.value);
}

/** Whom an address stands for: whoever has one IPv6 address has the 2^64 beside it too. */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const gap = tail === undefined ? [] : Array.from({ length: Math.max(8 - left.length - right.length, 0) }, () => '0');
  return `${[...left, ...gap, ...right].slice(0, 4).join(':')}::/64`;
}
