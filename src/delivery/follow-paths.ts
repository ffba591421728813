/** Where policies are read from, watched: the paths themselves, and the servers whose bundles are written to them. */

import type { BundleConfig, PolicyConfig } from '../configured/policy.ts';
import { createMirror, type Mirror, type MirrorFacts } from '../policy/mirror.ts';
import { fingerprintPath, type PathWatch, watchPath } from '../policy/watch.ts';

export interface FollowOptions {
  /** Where bundles are that policies name, in the place of what the configuration says; as far as it was discovered. */
  readonly bundles?: ReadonlyMap<string, BundleConfig> | undefined;
  /** ms between two looks without a notice; 2 s by default. */
  readonly everyMs?: number | undefined;
  /** What a policy is read from differs, and may not have settled yet. */
  readonly onUnsettled: () => void;
  /** What a policy is read from has changed; awaited before the next look. Must not reject. */
  readonly onChange: (policy: string) => Promise<void>;
  /**
   * Why a server does not give the bundle of a policy any more; undefined when it does again.
   *
   * @param former what it was until now
   */
  readonly onFailure: (policy: string, error: unknown, former: unknown) => void;
}

/** All but `first` is told by the names of policies. */
export interface FollowedPaths {
  /**
   * To be asked before the policy is read: a change meanwhile is one more change.
   *
   * @returns why its server did not give its bundle, undefined where it did or there is none
   */
  first(policy: PolicyConfig): Promise<unknown>;
  /** Watches the path, from the state that it had at `first`. */
  watch(policy: PolicyConfig): void;
  /** Goes on asking servers. */
  follow(): void;
  facts(policy: string): MirrorFacts | undefined;
  /** A bundle is elsewhere from now on, for every policy that names it. Never rejects. */
  retarget(bundle: string, to: BundleConfig): Promise<void>;
  /** Never rejects. */
  look(policy: string): Promise<void>;
  lookAtAll(): Promise<void>;
  close(): void;
}

export function followPaths(policies: readonly PolicyConfig[], options: FollowOptions): FollowedPaths {
  const states = new Map<string, string>();
  const watches = new Map<string, PathWatch>();
  const mirrors = new Map<string, Mirror>();
  for (const policy of policies)
    if (policy.bundle !== undefined) mirrors.set(policy.name, mirror(policy, policy.bundle));

  return {
    async first({ name, path }) {
      const mirrored = await mirrors.get(name)?.first();
      states.set(name, await fingerprintPath(path));
      return mirrored;
    },
    watch({ name, path }) {
      const watch = watchPath(states.get(name) ?? '', {
        path,
        onUnsettled: options.onUnsettled,
        onChange: () => options.onChange(name),
        ...(options.everyMs !== undefined && { everyMs: options.everyMs }),
      });
      watches.set(name, watch);
    },
    follow() {
      for (const each of mirrors.values()) each.follow();
    },
    facts: (name) => mirrors.get(name)?.facts(),
    async retarget(bundle, to) {
      const named = policies.filter((policy) => policy.bundle?.name === bundle);
      await Promise.all(named.map(({ name }) => mirrors.get(name)?.retarget(to)));
    },
    look,
    async lookAtAll() {
      await Promise.all([...watches.keys()].map(look));
    },
    close() {
      for (const each of mirrors.values()) each.close();
      for (const each of watches.values()) each.close();
    },
  };

  async function look(name: string): Promise<void> {
    await mirrors.get(name)?.look();
    await watches.get(name)?.look();
  }

  function mirror({ name, path, engine, signature }: PolicyConfig, bundle: BundleConfig): Mirror {
    let failure: unknown;
    return createMirror({
      bundle: (bundle.name === undefined ? undefined : options.bundles?.get(bundle.name)) ?? bundle,
      file: path,
      signature,
      takesDeltas: engine !== 'cedar',
      onWritten: async () => watches.get(name)?.look(),
      onFailure(error) {
        const former = failure;
        failure = error;
        options.onFailure(name, error, former);
      },
    });
  }
}
