/**
 * The policies of a running sidecar: loaded at the start, replaced as a whole where what they were read from has changed.
 * What is wrong with a new one leaves the one before it in place.
 */

import { createMirror, type Mirror, type MirrorFacts } from '../policy/mirror.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { fingerprintPath, type PathWatch, watchPath } from '../policy/watch.ts';
import type { AskedRequest, BundleConfig, Config, PolicyConfig } from '../types.ts';
import { type ActivePolicy, createDeciding, type PolicyMember, uniteMembers } from './active-policy.ts';
import { createLineage, type Lineage } from './lineage.ts';
import type { LoadOptions } from './load-member.ts';
import { type LoadedSource, loadConfigured, loadFirst } from './policy-source.ts';
import { type ChooseDeciding, shareCallers } from './share-callers.ts';

export interface LivePolicyOptions extends Pick<LoadOptions, 'onLost' | 'onMoved' | 'logRules'> {
  /** Value of PATH, for an `opa` command where the module is not there. */
  readonly searchPath: string | undefined;
  /** Told of each policy that took its place, at the start and later, or that takes it for a share of the callers. */
  readonly onLoaded: (member: PolicyMember, percent: number) => void;
  /** Told once of each policy that somebody rolled back and that has changed since. */
  readonly onWaiting?: (policy: string) => void;
  /** Told of each change that was refused. */
  readonly onRefused: (refused: RefusedChange, deciding: PolicyMember) => void;
  /** @param asked undefined where it was at no request */
  readonly onEvaluationError: (error: unknown, asked: AskedRequest | undefined, policy: string) => void;
  /** A policy that took its place could not be kept for a restart. */
  readonly onNotKept?: (error: unknown, policy: string) => void;
  /** Where bundles are that policies name, in the place of what the configuration says; as far as it was discovered. */
  readonly bundles?: ReadonlyMap<string, BundleConfig>;
  /** ms between two looks without a notice; 2 s by default. */
  readonly everyMs?: number;
}

/** A change that did not take place. */
export interface RefusedChange {
  readonly policy: string;
  readonly atMs: number;
  readonly error: unknown;
}

export interface LivePolicy {
  /** What decides a request of this caller that begins now. */
  readonly deciding: ChooseDeciding;
  /** What decides, but for the callers of a revision that is being rolled out. */
  readonly active: () => ActivePolicy;
  /** In the order of the configuration. */
  lineages(): readonly Lineage[];
  /** Of each policy, by its name, whose last change was refused. */
  refused(): ReadonlyMap<string, RefusedChange>;
  /** Since when a change waits for `reload`, of each policy that somebody rolled back, by its name; Unix time. */
  waiting(): ReadonlyMap<string, number>;
  /** What became of the questions for the bundle of a policy; undefined where it comes from no server. */
  download(name: string): MirrorFacts | undefined;
  /** A bundle is elsewhere from now on, for every policy that names it. Never rejects. */
  retarget(name: string, bundle: BundleConfig): Promise<void>;
  /** Looks now whether anything changed, and takes it in. Never rejects. */
  look(): Promise<void>;
  /**
   * Looks at one policy, and tries again what was refused as it lies there: it may have failed for a reason of the moment.
   * Of one that was rolled back it takes what lies there now, and what comes from then on. Never rejects.
   *
   * @param name of a policy that is there
   * @returns what came of it
   */
  reload(name: string): Promise<'loaded' | 'unchanged' | 'refused'>;
  /** As of `Lineage`: from the next request on. */
  rollBack(name: string, to: string | undefined): void;
  rollOut(name: string, percent: number): Promise<void>;
  /** Lets what is being evaluated end first. */
  close(): Promise<void>;
}

/** @throws PolicyError where a policy can't be loaded at the start: then there is none to go on with */
export async function startLivePolicy(
  { policies }: Pick<Config, 'policies'>,
  options: LivePolicyOptions,
): Promise<LivePolicy> {
  const refused = new Map<string, RefusedChange>();
  const waiting = new Map<string, number>();
  const keeps = new WeakMap<PolicyMember, LoadedSource['keep']>();
  const watches = new Map<string, PathWatch>();
  /** One change after the other. */
  let last: Promise<void> = Promise.resolve();
  let closed = false;

  const loaded: LoadedSource[] = [];
  const states: string[] = [];
  const mirrors = new Map(policies.flatMap((policy) => mirrorOf(policy)));
  const first = createToolchain({ path: options.searchPath });
  try {
    for (const policy of policies) {
      // Before it is read: a change meanwhile is one more change.
      const mirrored = await mirrors.get(policy.name)?.first();
      states.push(await fingerprintPath(policy.path));
      const beside = () => loaded.map(({ member }) => member);
      loaded.push(await loadFirst(policy, policies, { ...options, toolchain: first, beside }, mirrored));
    }
  } catch (error) {
    for (const { member } of loaded) await member.loaded.close();
    throw error;
  } finally {
    await first.close();
  }
  const members = loaded.map(({ member }) => member);
  // For changes: its child process, of 130 to 400 MB, starts when it is asked and ends when it was not for some seconds.
  const toolchain = createToolchain({ path: options.searchPath, inBackground: true });
  const lineages = members.map((member) =>
    createLineage(member, (error) => options.onEvaluationError(error, undefined, member.config.name)),
  );
  let active = uniteMembers(members);
  let choose: ChooseDeciding;
  decideAnew();
  for (const { member, failure, keep } of loaded) {
    if (member.origin !== 'none') options.onLoaded(member, 100);
    if (failure !== undefined) refuse(member, failure);
    void enqueue(() => tryToKeep(member.config, keep));
  }

  for (const [index, lineage] of lineages.entries()) {
    const { config, deciding } = lineage;
    // An engine that reads nothing here has nothing that could change here.
    if (deciding.prepared.kind === 'none') continue;
    watches.set(
      config.name,
      watchPath(states[index] ?? '', {
        path: config.path,
        onUnsettled: () => toolchain.warmUp(),
        onChange: () => enqueue(() => replace(lineage, 'changed')),
        ...(options.everyMs !== undefined && { everyMs: options.everyMs }),
      }),
    );
  }
  for (const mirror of mirrors.values()) mirror.follow();

  return {
    deciding: (principal, clientIp) => choose(principal, clientIp),
    active: () => active,
    lineages: () => lineages,
    refused: () => refused,
    waiting: () => waiting,
    download: (name) => mirrors.get(name)?.facts(),
    async retarget(name, bundle) {
      const named = policies.filter((policy) => policy.bundle?.name === name);
      await Promise.all(named.map((policy) => mirrors.get(policy.name)?.retarget(bundle)));
    },
    async look() {
      await Promise.all([...watches.keys()].map(lookAt));
    },
    async reload(name) {
      const lineage = lineageOf(name);
      const known = refused.get(name);
      const newest = lineage?.revisions[0];
      const held = lineage?.heldSinceMs;
      await lookAt(name);
      const isUntouched = refused.get(name) === known && lineage?.revisions[0] === newest;
      // A rollback that came meanwhile is the last word.
      const isDue = lineage?.heldSinceMs === held && (known !== undefined || held !== undefined);
      if (lineage !== undefined && isUntouched && isDue) await enqueue(() => replace(lineage, 'asked for'));
      if (refused.has(name)) return 'refused';
      return lineage?.revisions[0] === newest ? 'unchanged' : 'loaded';
    },
    rollBack(name, to) {
      lineageOf(name)?.rollBack(to);
      decideAnew();
    },
    async rollOut(name, percent) {
      const lineage = lineageOf(name);
      lineage?.rollOut(percent);
      decideAnew();
      const keep = lineage?.candidate === undefined && lineage !== undefined && keeps.get(lineage.deciding);
      if (keep) await enqueue(() => tryToKeep(lineage.config, keep));
    },
    async close() {
      closed = true;
      for (const mirror of mirrors.values()) mirror.close();
      for (const watch of watches.values()) watch.close();
      await last;
      await toolchain.close();
      for (const lineage of lineages) await lineage.close();
    },
  };

  async function lookAt(name: string): Promise<void> {
    await mirrors.get(name)?.look();
    await watches.get(name)?.look();
  }

  function mirrorOf({ name, path, bundle, engine, signature }: PolicyConfig): ReadonlyArray<readonly [string, Mirror]> {
    if (bundle === undefined) return [];
    let failure: unknown;
    const mirror = createMirror({
      bundle: (bundle.name === undefined ? undefined : options.bundles?.get(bundle.name)) ?? bundle,
      file: path,
      signature,
      takesDeltas: engine !== 'cedar',
      onWritten: async () => watches.get(name)?.look(),
      onFailure(error) {
        // What a bundle that came was refused for stands for itself.
        if (error === undefined && refused.get(name)?.error === failure) refused.delete(name);
        failure = error;
        const lineage = lineageOf(name);
        if (error !== undefined && lineage !== undefined) refuse(lineage.deciding, error);
      },
    });
    return [[name, mirror]];
  }

  function lineageOf(name: string): Lineage | undefined {
    return lineages.find(({ config }) => config.name === name);
  }

  /** In one step: a request sees what was before or what is now. */
  function decideAnew(): void {
    const create = (candidates: ReadonlySet<string>) =>
      lineages.map(({ config, deciding, candidate }) =>
        candidate !== undefined && candidates.has(config.name) ? candidate.member : deciding,
      );
    active = uniteMembers(create(new Set()));
    const shares = lineages.flatMap(({ config, candidate }) =>
      candidate === undefined ? [] : [{ policy: config.name, percent: candidate.percent }],
    );
    choose = shareCallers(shares, (candidates) =>
      createDeciding(uniteMembers(create(candidates)), options.onEvaluationError),
    );
  }

  function enqueue(change: () => Promise<void>): Promise<void> {
    last = last.then(change);
    return last;
  }

  async function replace(lineage: Lineage, why: 'changed' | 'asked for'): Promise<void> {
    if (closed) return;
    const { config, heldSinceMs } = lineage;
    if (heldSinceMs !== undefined && why === 'changed') {
      wait(config.name);
      return;
    }
    let loaded: LoadedSource;
    try {
      const beside = () => lineages.flatMap(({ deciding, candidate }) => [deciding, candidate?.member ?? deciding]);
      loaded = await loadConfigured(config, policies, { ...options, toolchain, beside });
    } catch (error) {
      refuse(lineage.deciding, error);
      return;
    }
    const { member, keep } = loaded;
    if (lineage.heldSinceMs !== heldSinceMs) {
      // Somebody rolled back meanwhile: this is what he wanted to be rid of, or newer.
      wait(config.name);
      await member.loaded.close();
      return;
    }
    refused.delete(config.name);
    waiting.delete(config.name);
    lineage.take(member);
    decideAnew();
    const { candidate } = lineage;
    options.onLoaded(member, candidate === undefined ? 100 : candidate.percent);
    if (candidate === undefined) await tryToKeep(config, keep);
    else keeps.set(member, keep);
  }

  function wait(name: string): void {
    if (waiting.has(name)) return;
    waiting.set(name, Date.now());
    options.onWaiting?.(name);
  }

  /** @param deciding that goes on in its place */
  function refuse(deciding: PolicyMember, error: unknown): void {
    const change = { policy: deciding.config.name, atMs: Date.now(), error };
    refused.set(change.policy, change);
    options.onRefused(change, deciding);
  }

  async function tryToKeep({ name }: PolicyConfig, keep: LoadedSource['keep']): Promise<void> {
    try {
      await keep();
    } catch (error) {
      options.onNotKept?.(error, name);
    }
  }
}
