/** Alternating rounds of the same load on each way to the upstream. */
import { setTimeout as sleep } from 'node:timers/promises';

import { drive, type Load, type LoadResult } from '../load/drive.ts';
import type { Peer } from '../peers/process.ts';

/** The ways of `npm run bench`. */
export type WayName = 'direct' | 'bare' | 'sidecar' | 'bundle';

export interface Way<Name extends string = string> {
  readonly name: Name;
  readonly port: number;
  /** The process whose CPU time counts. Undefined: none is in between. */
  readonly peer: Peer | undefined;
  /** CPU time that the process takes when nobody asks it anything, µs for each second. */
  readonly idleUsPerS: number;
}

export interface Round extends LoadResult {
  /** CPU time of the process in between, its idle rate subtracted, µs. */
  readonly cpuUs: number;
  /** Of that, the thread's that runs JavaScript, µs; nothing subtracted. */
  readonly mainThreadUs: number;
  readonly rssBytes: number;
}

export type RoundsByWay = ReadonlyMap<Way, readonly Round[]>;

/** For the last answers to be recorded and written, ms. */
const settleMs = 30;

/** @param count rounds; each runs the load once on every way, in an order that turns */
export async function runRounds(ways: readonly Way[], count: number, load: Omit<Load, 'port'>): Promise<RoundsByWay> {
  const rounds = new Map<Way, Round[]>(ways.map((way) => [way, []]));
  for (let index = 0; index < count; index += 1) {
    for (let turn = 0; turn < ways.length; turn += 1) {
      const way = ways[(index + turn) % ways.length];
      if (way !== undefined) rounds.get(way)?.push(await runRound(way, load));
    }
  }
  return rounds;
}

export async function runRound(way: Way, load: Omit<Load, 'port'>): Promise<Round> {
  const before = await way.peer?.usage();
  const startedMs = performance.now();
  const result = await drive({ ...load, port: way.port });
  if (way.peer === undefined || before === undefined) return { ...result, cpuUs: 0, mainThreadUs: 0, rssBytes: 0 };
  await sleep(settleMs);
  const after = await way.peer.usage();
  const idleUs = (way.idleUsPerS * (performance.now() - startedMs)) / 1000;
  return {
    ...result,
    cpuUs: after.cpuUs - before.cpuUs - idleUs,
    mainThreadUs: after.mainThreadUs - before.mainThreadUs,
    rssBytes: after.rssBytes,
  };
}

/** @returns µs of CPU time for each second */
export async function measureIdle(peers: readonly Peer[], durationMs: number): Promise<readonly number[]> {
  const before = await Promise.all(peers.map((peer) => peer.usage()));
  await sleep(durationMs);
  const after = await Promise.all(peers.map((peer) => peer.usage()));
  return after.map(({ cpuUs }, index) => ((cpuUs - (before[index]?.cpuUs ?? cpuUs)) * 1000) / durationMs);
}
