/** What two sidecars differ by, in place: the same steady load on one and the other in turn, many times. */
import { setTimeout as sleep } from 'node:timers/promises';

import { askEvenly, type EvenLoad } from '../load/evenly.ts';
import type { Peer } from '../peers/process.ts';
import { medianOf } from './statistics.ts';

export interface Difference {
  /** CPU of a request in the middle of the rounds, µs. */
  readonly without: number;
  readonly having: number;
  /** The middle of what neighbouring rounds differ by, µs: what else the machine does weighs on both. */
  readonly more: number;
  /** The middle lies between these in 19 of 20 such runs, µs. */
  readonly between: readonly [low: number, high: number];
}

/** Until the last answers are recorded and their lines written, ms. */
const settleMs = 150;

/** @param load of each round; @param rounds of each of the two */
export async function measureDifference(
  [without, having]: readonly [Peer, Peer],
  load: Omit<EvenLoad, 'port'>,
  rounds: number,
): Promise<Difference> {
  const measure = async (peer: Peer): Promise<number> => {
    const before = await peer.usage();
    const { length } = await askEvenly({ ...load, port: peer.port });
    await sleep(settleMs);
    return ((await peer.usage()).cpuUs - before.cpuUs) / length;
  };
  const [less, full]: [number[], number[]] = [[], []];
  for (let round = -2; round < rounds; round += 1) {
    // Who comes second finds the caches as the first one left them: they take turns.
    const first = round % 2 === 0 ? await measure(without) : undefined;
    const second = await measure(having);
    const third = first ?? (await measure(without));
    // The first ones warm up.
    if (round < 0) continue;
    less.push(third);
    full.push(second);
  }
  const more = full.map((us, at) => us - (less[at] ?? Number.NaN));
  return { without: medianOf(less), having: medianOf(full), more: medianOf(more), between: boundMedian(more) };
}

/** By the signs of what is above and below, whatever its distribution: the ranks n/2 -+ 0.98 sqrt(n). */
function boundMedian(values: readonly number[]): readonly [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const [middle, off] = [sorted.length / 2, 0.98 * Math.sqrt(sorted.length)];
  const at = (rank: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN;
  return [at(Math.floor(middle - off)), at(Math.ceil(middle + off) - 1)];
}
