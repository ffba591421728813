/** From rounds to figures. */
import type { Figure } from '../figures.ts';
import type { Round, RoundsByWay, Way, WayName } from './rounds.ts';
import { medianOf, medianRatio, quantileOf } from './statistics.ts';

export type ByName = Readonly<Record<WayName, readonly Round[]>>;

export function select(rounds: RoundsByWay, ways: Readonly<Record<WayName, Way>>): ByName {
  const of = (way: Way): readonly Round[] => rounds.get(way) ?? [];
  return { direct: of(ways.direct), bare: of(ways.bare), sidecar: of(ways.sidecar), bundle: of(ways.bundle) };
}

export function cpuPerRequest(round: Round): number {
  return round.cpuUs / round.requests;
}

export function mainThreadPerRequest(round: Round): number {
  return round.mainThreadUs / round.requests;
}

/** The frame with the counts is one too. */
export function framesOf(frames: number): (round: Round) => number {
  return (round) => round.requests * (frames + 1);
}

export function cpuPerFrame(frames: number): (round: Round) => number {
  const count = framesOf(frames);
  return (round) => round.cpuUs / count(round);
}

export function perSecond(round: Round): number {
  return round.requests / round.seconds;
}

export function costs(rounds: ByName, measure: (round: Round) => number): Pick<Figure, 'bare' | 'sidecar' | 'ratio'> {
  const bare = rounds.bare.map(measure);
  const sidecar = rounds.sidecar.map(measure);
  return { bare: medianOf(bare), sidecar: medianOf(sidecar), ratio: medianRatio(sidecar, bare) };
}

/** Beyond what the same request takes without anything in between. */
export function addedFirstToken(rounds: ByName, quantile: number): Pick<Figure, 'direct' | 'bare' | 'sidecar'> {
  const of = (each: readonly Round[]): number =>
    medianOf(each.map(({ firstByteMs }) => quantileOf(firstByteMs, quantile)));
  const direct = of(rounds.direct);
  return { direct, bare: of(rounds.bare) - direct, sidecar: of(rounds.sidecar) - direct };
}

/** Frames that reach a proxy together cost it less than frames that come one by one. */
export function remarkOn(rounds: ByName, frames: number): string[] {
  const readsPerFrame = (each: readonly Round[]): number =>
    medianOf(each.map(({ reads, requests }) => reads / (requests * (frames + 1))));
  const lowest = Math.min(...[rounds.direct, rounds.bare, rounds.sidecar].map(readsPerFrame));
  return lowest < 0.9
    ? [`frames came together (${lowest.toFixed(2)} reads a frame): the machine is too busy for the figures of a frame`]
    : [];
}
