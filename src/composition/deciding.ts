/** What decides, and who is told of it: the policies, the one that is asked beside them, control planes. One of a sidecar. */

import type { Config } from '../configured/config.ts';
import { type LiveManagement, startLiveManagement } from '../delivery/live-management.ts';
import { type LivePolicy, startLivePolicy } from '../delivery/live-policy.ts';
import { type LiveShadow, startLiveShadow } from '../delivery/live-shadow.ts';
import type { Replicas } from '../delivery/replicas.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics, Rollout } from '../telemetry/metrics.ts';
import { tellOfPolicies } from '../telling/policies.ts';
import { tellOfShadow } from '../telling/shadow.ts';
import { createTellable } from '../telling/user-code.ts';
import type { ShadowEvent } from '../types.ts';
import { readVersion } from '../version.ts';

export interface DecidingParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly searchPath: string | undefined;
  /** Where it is said what a shadow would have decided otherwise. */
  readonly onShadow: ((event: ShadowEvent) => void) | undefined;
  /** Those who decide by it, where that is not this process. */
  readonly replicas: Replicas | undefined;
}

export interface Deciding {
  readonly policy: LivePolicy;
  readonly shadow: LiveShadow | undefined;
  readonly management: LiveManagement | undefined;
  /** Behind the last request. */
  close(): Promise<void>;
}

/** @throws PolicyError */
export async function startDeciding(
  config: Config,
  { log, metrics, searchPath, onShadow: onEvent, replicas }: DecidingParts,
): Promise<Deciding> {
  const tellable = createTellable(config);
  const policyTelling = tellOfPolicies(log, metrics, tellable);
  const management =
    config.management &&
    (await startLiveManagement(config.management, {
      policies: config.policies,
      version: readVersion(),
      searchPath,
      policy: () => policy,
      metrics,
      log,
    }));
  const policy = await startLivePolicy(config, {
    searchPath,
    replicas,
    logRules: management?.logsDecisions,
    ...(management && { bundles: management.bundles }),
    ...policyTelling,
    onLoaded(member, percent) {
      management?.loaded(member);
      policyTelling.onLoaded(member, percent);
    },
    onRefused(change, deciding) {
      management?.changed();
      policyTelling.onRefused(change, deciding);
    },
  });
  management?.started();
  const shadowTelling = config.shadow && tellOfShadow(config.shadow, { log, metrics, tellable, onEvent });
  const shadow =
    config.shadow && shadowTelling && startLiveShadow(config.shadow, { searchPath, replicas, ...shadowTelling });

  return {
    policy,
    shadow,
    management,
    async close() {
      await shadow?.close();
      shadowTelling?.close();
      await policy.close();
      policyTelling.close();
    },
  };
}

/** Revisions that decide for a share of the callers. */
export function describeRollouts(policy: LivePolicy): readonly Rollout[] {
  return policy.lineages().flatMap(({ config, candidate }) => {
    const { member, percent = 0 } = candidate ?? {};
    return member === undefined ? [] : [{ policy: config.name, revision: member.loaded.revision, percent }];
  });
}
