/** Profiles two ways under the same load, one after the other, and puts their parts side by side. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Part } from '../figures.ts';
import type { Load } from '../load/drive.ts';
import { type PartTime, splitByPart } from './parts.ts';
import { type Round, runRound, type Way } from './rounds.ts';

interface Profiled {
  readonly round: Round;
  readonly parts: readonly PartTime[];
}

/**
 * The profiler costs something itself, most of all where little happens between two samples: these times are for comparing
 * parts with each other, not with the figures.
 *
 * @param directory where the profiles are left too
 * @returns the parts, in the unit that `measure` gives the time of a whole round in
 */
export async function comparePartsUnder(
  ways: { readonly bare: Way; readonly sidecar: Way },
  load: Omit<Load, 'port'>,
  directory: string | undefined,
): Promise<(measure: (round: Round) => number) => readonly Part[]> {
  const bare = await profile(ways.bare, load, directory);
  const sidecar = await profile(ways.sidecar, load, directory);
  const names = new Set([...sidecar.parts, ...bare.parts].map(({ part }) => part));
  return (measure) =>
    [...names].map((name) => {
      const of = ({ round, parts }: Profiled) => {
        const { self = 0, onBehalf = 0 } = parts.find(({ part }) => part === name) ?? {};
        return { self: self * measure(round), onBehalf: onBehalf * measure(round) };
      };
      return { part: name, bare: of(bare).onBehalf, sidecar: of(sidecar).onBehalf, sidecarSelf: of(sidecar).self };
    });
}

async function profile(way: Way, load: Omit<Load, 'port'>, directory: string | undefined): Promise<Profiled> {
  if (way.peer === undefined) throw new Error('There is no process to profile.');
  await way.peer.startProfile();
  const round = await runRound(way, load);
  const profile = await way.peer.stopProfile();
  if (directory !== undefined) {
    await writeFile(join(directory, `${way.name}-${load.kind}.cpuprofile`), JSON.stringify(profile));
  }
  // The profile is of the one thread; what others took (garbage, compiling, writing the audit log) is a part of its own.
  const ofMainThread = Math.min(1, round.mainThreadUs / round.cpuUs);
  const parts = splitByPart(profile).map(({ part, self, onBehalf }) => ({
    part,
    self: self * ofMainThread,
    onBehalf: onBehalf * ofMainThread,
  }));
  return { round, parts: [...parts, { part: 'other threads', self: 1 - ofMainThread, onBehalf: 1 - ofMainThread }] };
}
