/** Who gets the new revision while it is rolled out. */
import { hash } from 'node:crypto';

import type { DecidingPolicy, Principal } from '../types.ts';

/** One policy that is being rolled out. */
export interface Share {
  /** The policy's name. */
  readonly policy: string;
  /** Of the callers, 0 to 100. */
  readonly percent: number;
}

export type ChooseDeciding = (principal: Principal, clientIp: string) => DecidingPolicy;

/**
 * Where nothing is rolled out everybody gets the same one, at no cost. Elsewhere the same caller always gets the same one,
 * in every replica and after a restart; those who have the new one keep it when the share grows.
 *
 * @param shares at most 8, one for each policy that is rolled out
 * @param create what decides where the new revision of these policies does, the former one of all others; asked once for
 *   each choice
 */
export function shareCallers(
  shares: readonly Share[],
  create: (candidates: ReadonlySet<string>) => DecidingPolicy,
): ChooseDeciding {
  const former = create(new Set());
  if (shares.length === 0) return () => former;
  const choices = new Map<string, DecidingPolicy>([['', former]]);

  return function choose(principal, clientIp) {
    const chosen = shares.filter(({ policy, percent }) => placeOf(policy, principal, clientIp) < percent);
    const key = chosen.map(({ policy }) => policy).join();
    let deciding = choices.get(key);
    if (deciding === undefined) {
      deciding = create(new Set(chosen.map(({ policy }) => policy)));
      choices.set(key, deciding);
    }
    return deciding;
  };
}

/** @returns 0 to 99.99, evenly spread. Anonymous callers are told apart by where they call from. */
function placeOf(policy: string, { id, kind }: Principal, clientIp: string): number {
  const caller = kind === 'anonymous' ? clientIp : id;
  const digest = hash('sha256', JSON.stringify([policy, kind === 'anonymous', caller]), 'buffer');
  return (digest.readUIntBE(0, 6) % 10_000) / 100;
}
