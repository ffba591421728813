/** The part of the composition root that gets one policy from where it is configured, or from where it was kept. */
import { loadMember, type PolicyMember, type Sources } from './active-policy.ts';
import { PolicyError } from './errors.ts';
import { findKept, type KeepablePolicy, keepPolicy } from './policy/kept.ts';
import type { PolicyConfig } from './types.ts';

export interface LoadedSource {
  readonly member: PolicyMember;
  /** Why it is not the configured one. */
  readonly failure?: unknown;
  /** Keeps it for a restart, where that is configured; to be called once it has taken its place. */
  keep(): Promise<void>;
}

/**
 * Loads the policy that is configured.
 *
 * @throws PolicyError
 */
export async function loadConfigured(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
): Promise<LoadedSource> {
  let policy: KeepablePolicy | undefined;
  const onPrepared = (prepared: KeepablePolicy): void => {
    policy = prepared;
  };
  // What an engine asks another process for, or imports by itself, can't be kept: nothing of it is here.
  const member = await loadMember(config, all, { ...sources, ...(config.stateDir !== undefined && { onPrepared }) });
  return {
    member,
    async keep() {
      if (policy !== undefined && member.prepared.kind !== 'none') await keepPolicy(config, policy);
      policy = undefined;
    },
  };
}

/**
 * Loads the policy that is configured, else the one that was kept of it.
 *
 * @throws PolicyError where there is neither: about the configured one, and why no other stood in
 */
export async function loadFirst(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
): Promise<LoadedSource> {
  try {
    return await loadConfigured(config, all, sources);
  } catch (failure) {
    if (config.stateDir === undefined) throw failure;
    try {
      const kept = await findKept(config);
      if (kept === undefined) throw failure;
      const member = await loadMember({ ...config, path: kept.file, signature: undefined }, all, sources);
      return { member: { ...member, config, origin: 'kept' }, failure, keep: async () => {} };
    } catch (second) {
      throw second === failure ? failure : addReason(failure, second);
    }
  }
}

function addReason(failure: unknown, second: unknown): unknown {
  if (!(failure instanceof PolicyError)) return failure;
  const why = second instanceof Error ? second.message.split('\n', 1)[0] : String(second);
  const [summary = ''] = failure.message.split('\n', 1);
  return new PolicyError(`${summary} Nor is there a kept one to stand in: ${why}`, failure.faults, { cause: failure });
}
