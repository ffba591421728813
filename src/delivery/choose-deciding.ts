/** What decides now, of the revisions that are there. */
import type { DecidingPolicy } from '../types.ts';
import { type ActivePolicy, createDeciding, uniteMembers } from './active-policy.ts';
import type { Lineage } from './lineage.ts';
import type { Replicas } from './replicas.ts';
import { type ChooseDeciding, shareCallers } from './share-callers.ts';

export interface Choice {
  /** What decides a request of this caller that begins now. */
  readonly deciding: ChooseDeciding;
  /** What decides, but for the callers of a revision that is being rolled out. */
  active(): ActivePolicy;
  /**
   * Chooses anew, in one step: a request sees what was before or what is now.
   *
   * @returns once no other process decides as before. Never rejects
   */
  renew(): Promise<void>;
}

/** @param onError told about each failed evaluation, with the name of its policy */
export function createChoice(
  lineages: readonly Pick<Lineage, 'config' | 'deciding' | 'candidate'>[],
  onError: Parameters<typeof createDeciding>[1],
  replicas?: Replicas,
): Choice {
  let active = unite(new Set());
  let choose = share();

  return {
    deciding: (principal, clientIp) => choose(principal, clientIp),
    active: () => active,
    async renew() {
      active = unite(new Set());
      choose = share();
      await replicas?.decide(lineages);
    },
  };

  function unite(candidates: ReadonlySet<string>): ActivePolicy {
    return uniteMembers(
      lineages.map(({ config, deciding, candidate }) =>
        candidate !== undefined && candidates.has(config.name) ? candidate.member : deciding,
      ),
    );
  }

  function share(): ChooseDeciding {
    const shares = lineages.flatMap(({ config, candidate }) =>
      candidate === undefined ? [] : [{ policy: config.name, percent: candidate.percent }],
    );
    return shareCallers(shares, (candidates): DecidingPolicy => createDeciding(unite(candidates), onError));
  }
}
