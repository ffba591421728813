import type { LoadedPolicy } from '../types.ts';

/**
 * A policy that is closed once nothing is evaluated by it any more: a request that is being decided keeps the policy that
 * it began with, also when another one has taken its place.
 */
export function outlastEvaluations(policy: LoadedPolicy): LoadedPolicy {
  const running = new Set<Promise<unknown>>();
  const { notReady } = policy;
  return {
    // A remote engine's revision changes while it is loaded.
    get revision() {
      return policy.revision;
    },
    entrypoints: policy.entrypoints,
    reads: policy.reads,
    codes: policy.codes,
    deterministic: policy.deterministic,
    files: policy.files,
    shape: (entrypoint) => policy.shape(entrypoint),
    ...(notReady && { notReady: () => notReady.call(policy) }),
    evaluate(entrypoint, input) {
      const results = policy.evaluate(entrypoint, input);
      // Nothing can come between the beginning and the end of one that does not wait.
      if (!(results instanceof Promise)) return results;
      running.add(results);
      const done = (): boolean => running.delete(results);
      results.then(done, done);
      return results;
    },
    async close() {
      while (running.size > 0) await Promise.allSettled(running);
      await policy.close();
    },
  };
}
