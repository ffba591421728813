/**
 * The revisions of one policy that are there to decide: the one that does, one that is being rolled out beside it, and
 * former ones to go back to. They stay loaded, so that going back takes no compiler and can't fail.
 */

import type { PolicyConfig } from '../configured/policy.ts';
import { RequestError } from '../errors.ts';
import type { PolicyMember } from './active-policy.ts';

/** A revision that gets a share of the callers. */
export interface Candidate {
  readonly member: PolicyMember;
  /** Of the callers, 0 to 99.99. */
  readonly percent: number;
}

export interface Lineage {
  readonly config: PolicyConfig;
  /** What decides, but for the callers of a candidate. */
  readonly deciding: PolicyMember;
  readonly candidate: Candidate | undefined;
  /** Since when what is new waits until it is asked for, Unix time: somebody rolled back. */
  readonly heldSinceMs: number | undefined;
  /** Those that are kept, each before the one to go back to; behind them those that were gone back from. */
  readonly revisions: readonly PolicyMember[];
  /** A new one: it decides, or it is rolled out where that is configured. Ends a hold. */
  take(member: PolicyMember): void;
  /**
   * Ends a rollout, else goes back to the revision before the one that decides. What is new waits from then on.
   *
   * @param to a revision that is kept
   * @throws RequestError `unknown_revision`, `nothing_to_undo`
   */
  rollBack(to: string | undefined): void;
  /**
   * @param percent of the callers; at 100 the candidate decides
   * @throws RequestError `no_rollout`
   */
  rollOut(percent: number): void;
  /**
   * Takes up what an earlier run had.
   *
   * @param order of revisions; what it does not name stays before it
   */
  adopt(members: readonly PolicyMember[], order: readonly string[]): void;
  close(): Promise<void>;
}

/**
 * @param first that decides
 * @param heldSince of what somebody rolled back to before a restart, Unix time
 * @param onError told where one that is not kept any more could not be closed
 */
export function createLineage(
  first: PolicyMember,
  onError: (error: unknown) => void,
  heldSince: number | undefined = undefined,
): Lineage {
  const { config } = first;
  let revisions: readonly PolicyMember[] = [first];
  let deciding = first;
  let candidate: Candidate | undefined;
  let heldSinceMs = heldSince;

  return {
    config,
    get deciding() {
      return deciding;
    },
    get candidate() {
      return candidate;
    },
    get heldSinceMs() {
      return heldSinceMs;
    },
    get revisions() {
      return revisions;
    },
    take(member) {
      heldSinceMs = undefined;
      const twin = find(member.loaded.revision);
      const at = revisions.indexOf(deciding);
      const others = [...revisions.slice(at), ...revisions.slice(0, at)].filter(
        (one) => one !== twin && one.origin !== 'none',
      );
      // The same once more, or the first there is: nothing to try out on a few, or nothing to try it against.
      if (config.rollout === undefined || twin === deciding || deciding.origin === 'none') {
        deciding = member;
        candidate = undefined;
      } else {
        const percent = twin !== undefined && twin === candidate?.member ? candidate.percent : config.rollout.percent;
        candidate = percent < 100 ? { member, percent } : undefined;
        if (candidate === undefined) deciding = member;
      }
      keep([member, ...others]);
    },
    rollBack(to) {
      const target = to === undefined ? findFormer() : find(to);
      if (target === undefined) throw new RequestError(to === undefined ? 'nothing_to_undo' : 'unknown_revision');
      deciding = target;
      candidate = undefined;
      heldSinceMs = Date.now();
      keep(revisions);
    },
    rollOut(percent) {
      if (candidate === undefined) throw new RequestError('no_rollout');
      if (percent < 100) {
        candidate = { ...candidate, percent };
        return;
      }
      deciding = candidate.member;
      candidate = undefined;
      keep(revisions);
    },
    adopt(members, order) {
      const all = [...revisions, ...members.filter(({ loaded }) => find(loaded.revision) === undefined)];
      for (const one of members) if (!all.includes(one)) one.loaded.close().catch(onError);
      const placeOf = ({ loaded }: PolicyMember) => order.indexOf(loaded.revision);
      revisions = all.toSorted((a, b) => placeOf(a) - placeOf(b));
      keep(revisions);
    },
    async close() {
      for (const { loaded } of revisions) await loaded.close();
    },
  };

  function find(revision: string): PolicyMember | undefined {
    return revisions.find(({ loaded }) => loaded.revision === revision);
  }

  function findFormer(): PolicyMember | undefined {
    return candidate === undefined ? revisions[revisions.indexOf(deciding) + 1] : deciding;
  }

  /** The newest of them, and whatever decides. */
  function keep(all: readonly PolicyMember[]): void {
    const needed = all.filter((one) => one === deciding || one === candidate?.member);
    const spare = Math.max(config.keepRevisions - needed.length, 0);
    const kept = new Set([...needed, ...all.filter((one) => !needed.includes(one)).slice(0, spare)]);
    const former = revisions;
    revisions = all.filter((one) => kept.has(one));
    // Not waited for: what is being evaluated by them may take its time.
    for (const one of former) if (!kept.has(one)) one.loaded.close().catch(onError);
  }
}
