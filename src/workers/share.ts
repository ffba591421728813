/** What each of several workers may use of limits that are those of the sidecar. */
import type { Config } from '../configured/config.ts';

/**
 * @param count of workers
 * @returns limits of one of them. Together they have what is configured or a little less; of what can't be divided each
 *   has one, and of what a policy's threads are rather one more than one less
 */
export function shareLimits(config: Config, count: number): Config {
  const part = (limit: number): number => Math.max(1, Math.floor(limit / count));
  const { limits, identity, policies, shadow } = config;
  const { tokenEndpoint } = identity;
  const threads = (workers: number): number => Math.ceil(workers / count);
  return {
    ...config,
    limits: { ...limits, bodiesTotal: part(limits.bodiesTotal), inFlight: part(limits.inFlight) },
    policies: policies.map((policy) => ({ ...policy, workers: threads(policy.workers) })),
    shadow: shadow && { ...shadow, workers: threads(shadow.workers) },
    identity: {
      ...identity,
      tokenEndpoint: tokenEndpoint && {
        ...tokenEndpoint,
        perClient: part(tokenEndpoint.perClient),
        perSource: part(tokenEndpoint.perSource),
      },
    },
  };
}
