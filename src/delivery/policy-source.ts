/** The part of the composition root that gets one policy from where it is configured, or from where it was kept. */

import type { PolicyConfig } from '../configured/policy.ts';
import { EvaluationError, PolicyError } from '../errors.ts';
import { findKept, type KeepablePolicy } from '../policy/kept.ts';
import { keepRevision } from '../policy/kept-lineage.ts';
import type { PolicyMember } from './active-policy.ts';
import { loadMember, type Sources } from './load-member.ts';

export interface LoadedSource {
  readonly member: PolicyMember;
  /** Why it is not the configured one. */
  readonly failure?: unknown;
  /** Keeps it among the revisions for a restart, where that is configured; to be called once it has taken its place. */
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
      if (policy !== undefined && member.prepared.kind !== 'none') await keepRevision(config, policy);
      policy = undefined;
    },
  };
}

/**
 * Loads the policy that is configured, else the one that was kept of it, else, for a bundle of a server, nothing, which denies
 * everything.
 *
 * @param mirrored why the server did not give its bundle, undefined where it did or there is none
 * @throws PolicyError where there is neither: about the configured one, and why no other stood in
 */
export async function loadFirst(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
  mirrored: unknown,
): Promise<LoadedSource> {
  try {
    if (mirrored !== undefined) throw mirrored;
    return await loadConfigured(config, all, sources);
  } catch (failure) {
    if (config.stateDir === undefined) throw failure;
    try {
      const kept = await findKept(config);
      if (kept === undefined) throw failure;
      const member = await loadMember({ ...config, path: kept.file, signature: undefined }, all, sources);
      return { member: { ...member, config, origin: 'kept' }, failure, keep: async () => {} };
    } catch (second) {
      const why = second === failure ? failure : addReason(failure, second);
      // It may come any moment; a file that is broken needs somebody who mends it.
      if (config.bundle !== undefined) return { member: nothing(config), failure: why, keep: async () => {} };
      throw why;
    }
  }
}

function addReason(failure: unknown, second: unknown): unknown {
  if (!(failure instanceof PolicyError)) return failure;
  const why = second instanceof Error ? second.message.split('\n', 1)[0] : String(second);
  const [summary = ''] = failure.message.split('\n', 1);
  return new PolicyError(`${summary} Nor is there a kept one to stand in: ${why}`, failure.faults, { cause: failure });
}

/** In the place of a policy that is not there yet. */
export function nothing(config: PolicyConfig): PolicyMember {
  return {
    config,
    prepared: { kind: 'bundle', testsPassed: 0, ignoredFiles: [] },
    place: { place: 'inline', why: 'there is no policy yet' },
    loadedAtMs: Date.now(),
    origin: 'none',
    loaded: {
      revision: 'none',
      entrypoints: [config.entrypoint],
      reads: { all: false, members: new Set() },
      codes: new Set(),
      deterministic: false,
      shape: () => 'unknown',
      evaluate() {
        throw new EvaluationError('policy_unavailable');
      },
      notReady: () => `${config.name}: no policy is loaded yet`,
      close: async () => {},
    },
  };
}
