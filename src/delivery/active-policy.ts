/** The part of the composition root that puts loaded policies together into what decides. */

import type { PolicyConfig } from '../configured/policy.ts';
import { createAllOf, uniteReads } from '../decision/all-of.ts';
import { createDecider, type Decide } from '../decision/decide.ts';
import type { Place } from '../decision/isolation/choose.ts';
import { contentMembers } from '../input/ask/asked.ts';
import type { LogRules } from '../management/mask.ts';
import type { PreparedPolicy } from '../policy/prepare.ts';
import type { AskedRequest, DecidingPolicy, InputNeeds, LoadedPolicy } from '../types.ts';

/** One policy of those that must all allow. */
export interface PolicyMember {
  readonly config: PolicyConfig;
  readonly prepared: Omit<PreparedPolicy, 'policy'>;
  readonly loaded: LoadedPolicy;
  /** Where it is evaluated, and why there. */
  readonly place: Place;
  /** By which other processes know it that decide by it; undefined where this one does. */
  readonly replica?: number | undefined;
  /** When it was ready to decide, Unix time. */
  readonly loadedAtMs: number;
  /** `kept`: from an earlier run, because what is configured could not be loaded. `none`: there is none yet, all is denied. */
  readonly origin: 'configured' | 'kept' | 'none';
  /** What it says of the log of its decisions, where that is asked for and it says anything. */
  readonly logRules?: LogRules | undefined;
}

/** All that decides, as one. */
export interface ActivePolicy {
  /** In the order of the configuration, at least one. */
  readonly members: readonly PolicyMember[];
  /** Of all members, joined by commas. */
  readonly revision: string;
  readonly reads: InputNeeds;
  /** Codes that METADATA of any member declares. */
  readonly codes: ReadonlySet<string>;
  /** Why members can't decide at the moment, a sentence for each that can't. */
  notReady(): readonly string[];
  close(): Promise<void>;
}

/** @param members in the order of the configuration, at least one */
export function uniteMembers(members: readonly PolicyMember[]): ActivePolicy {
  const all = members.map(({ loaded }) => loaded);
  return {
    members,
    get revision() {
      return all.map(({ revision }) => revision).join(',');
    },
    reads: uniteReads(all),
    codes: new Set(all.flatMap(({ codes }) => [...codes])),
    notReady: () => all.flatMap((loaded) => loaded.notReady?.() ?? []),
    async close() {
      for (const loaded of all) await loaded.close();
    },
  };
}

/** @param onError told about each failed evaluation, with the name of its policy */
function createDecide(
  { members }: ActivePolicy,
  onError: (error: unknown, asked: AskedRequest, policy: string) => void,
): Decide {
  const deciders = members.map(({ config, loaded }) => {
    const { name, engine, entrypoint, mode, denyListOperations } = config;
    const decide = createDecider({
      engine,
      policy: () => loaded,
      entrypoint,
      mode,
      denyListOperations,
      onError: (error, asked) => onError(error, asked, name),
    });
    return { name, decide };
  });
  const [only, ...others] = deciders;
  return only !== undefined && others.length === 0 ? only.decide : createAllOf(deciders);
}

/**
 * The policy as a request sees it.
 *
 * @param onError told about each failed evaluation, with the name of its policy
 */
export function createDeciding(policy: ActivePolicy, onError: Parameters<typeof createDecide>[1]): DecidingPolicy {
  const { reads, codes } = policy;
  return {
    reads,
    codes,
    readsContent: reads.all || contentMembers.some((member) => reads.members.has(member)),
    decide: createDecide(policy, onError),
  };
}
