/** Profiles two ways under the same load, one after the other, and puts their parts side by side. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Part } from '../figures.ts';
import type { Load } from '../load/drive.ts';
import type { ByName } from './costs.ts';
import { type PartTime, splitByPart } from './parts.ts';
import { type Round, runRound, type Way, type WayName } from './rounds.ts';
import { medianOf } from './statistics.ts';

export interface PartsOptions {
  readonly load: Omit<Load, 'port'>;
  /** Of the same load without the profiler, which costs something itself: its shares are laid over these times. */
  readonly rounds: ByName;
  /** A round's requests or frames. */
  readonly count: (round: Round) => number;
  /** Where the profiles are left too. */
  readonly directory: string | undefined;
}

/** @returns µs for each request or frame */
export async function comparePartsUnder(
  ways: { readonly bare: Way<WayName>; readonly sidecar: Way<WayName> },
  options: PartsOptions,
): Promise<readonly Part[]> {
  const bare = await measureParts(ways.bare, options);
  const sidecar = await measureParts(ways.sidecar, options);
  const names = new Set([...sidecar, ...bare].map(({ part }) => part));
  return [...names].map((name) => {
    const here = sidecar.find(({ part }) => part === name);
    const there = bare.find(({ part }) => part === name);
    return {
      part: name,
      bare: there?.onBehalf ?? 0,
      sidecar: here?.onBehalf ?? 0,
      sidecarSelf: here?.self ?? 0,
    };
  });
}

async function measureParts(way: Way<WayName>, options: PartsOptions): Promise<readonly PartTime[]> {
  const { load, rounds, count, directory } = options;
  if (way.peer === undefined) throw new Error('There is no process to profile.');
  await way.peer.startProfile();
  await runRound(way, load);
  const profile = await way.peer.stopProfile();
  if (directory !== undefined) {
    await writeFile(join(directory, `${way.name}-${load.kind}.cpuprofile`), JSON.stringify(profile));
  }
  const mainUs = medianOf(rounds[way.name].map((round) => round.mainThreadUs / count(round)));
  // The profile is of the one thread; others collect garbage, compile and write the audit log.
  const otherUs = medianOf(rounds[way.name].map((round) => (round.cpuUs - round.mainThreadUs) / count(round)));
  const parts = splitByPart(profile).map(({ part, self, onBehalf }) => ({
    part,
    self: self * mainUs,
    onBehalf: onBehalf * mainUs,
  }));
  return [...parts, { part: 'other threads', self: otherUs, onBehalf: otherUs }];
}
