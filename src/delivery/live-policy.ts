/**
 * The policies of a running sidecar: loaded at the start, replaced as a whole where what they were read from has changed.
 * What is wrong with a new one leaves the one before it in place.
 */

import type { Config } from '../configured/config.ts';
import type { BundleConfig, PolicyConfig } from '../configured/policy.ts';
import type { MirrorFacts } from '../policy/mirror.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { ActivePolicy } from './active-policy.ts';
import { type ChangeOptions, createChanges, type RefusedChange } from './changes.ts';
import { createChoice } from './choose-deciding.ts';
import { type FollowedPaths, followPaths } from './follow-paths.ts';
import type { Lineage } from './lineage.ts';
import type { ChooseDeciding } from './share-callers.ts';
import { type StartedLineage, startLineage } from './start-lineage.ts';

export interface LivePolicyOptions extends ChangeOptions {
  /** Where bundles are that policies name, in the place of what the configuration says; as far as it was discovered. */
  readonly bundles?: ReadonlyMap<string, BundleConfig>;
  /** ms between two looks without a notice; 2 s by default. */
  readonly everyMs?: number;
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
  /** As of `Lineage`: from the next request on. Ends once a restart would know of it, where anything is kept. */
  rollBack(name: string, to: string | undefined): Promise<void>;
  rollOut(name: string, percent: number): Promise<void>;
  /** Lets what is being evaluated end first. */
  close(): Promise<void>;
}

/** @throws PolicyError where a policy can't be loaded at the start: then there is none to go on with */
export async function startLivePolicy(
  { policies }: Pick<Config, 'policies'>,
  options: LivePolicyOptions,
): Promise<LivePolicy> {
  const paths = followPaths(policies, {
    bundles: options.bundles,
    everyMs: options.everyMs,
    onUnsettled: () => changes.expect(),
    async onChange(name) {
      const lineage = lineageOf(name);
      if (lineage !== undefined) await changes.replace(lineage, 'changed');
    },
    onFailure(name, error, former) {
      // What a bundle that came was refused for stands for itself.
      if (error === undefined && changes.refused.get(name)?.error === former) changes.refused.delete(name);
      const lineage = lineageOf(name);
      if (error !== undefined && lineage !== undefined) changes.refuse(lineage.deciding, error);
    },
  });
  const started = await startAll(policies, paths, options);
  const lineages = started.map(({ lineage }) => lineage);
  const choice = createChoice(lineages, options.onEvaluationError, options.replicas);
  await options.replicas?.decide(lineages);
  const changes = createChanges(policies, lineages, choice, options);
  for (const one of started) changes.begin(one);
  for (const { config, deciding } of lineages) {
    // An engine that reads nothing here has nothing that could change here.
    if (deciding.prepared.kind !== 'none') paths.watch(config);
  }
  paths.follow();

  return {
    deciding: choice.deciding,
    active: choice.active,
    lineages: () => lineages,
    refused: () => changes.refused,
    waiting: () => changes.waiting,
    download: paths.facts,
    retarget: paths.retarget,
    look: paths.lookAtAll,
    async reload(name) {
      const { refused } = changes;
      const lineage = lineageOf(name);
      const known = refused.get(name);
      const newest = lineage?.revisions[0];
      const held = lineage?.heldSinceMs;
      await paths.look(name);
      const isUntouched = refused.get(name) === known && lineage?.revisions[0] === newest;
      // A rollback that came meanwhile is the last word.
      const isDue = lineage?.heldSinceMs === held && (known !== undefined || held !== undefined);
      if (lineage !== undefined && isUntouched && isDue) await changes.replace(lineage, 'asked for');
      if (refused.has(name)) return 'refused';
      return lineage?.revisions[0] === newest ? 'unchanged' : 'loaded';
    },
    async rollBack(name, to) {
      const lineage = lineageOf(name);
      lineage?.rollBack(to);
      await choice.renew();
      if (lineage !== undefined) await changes.save(lineage);
    },
    async rollOut(name, percent) {
      const lineage = lineageOf(name);
      lineage?.rollOut(percent);
      await choice.renew();
      if (lineage !== undefined) await changes.save(lineage);
    },
    async close() {
      const ended = changes.close();
      paths.close();
      await ended;
      for (const lineage of lineages) await lineage.close();
    },
  };

  function lineageOf(name: string): Lineage | undefined {
    return lineages.find(({ config }) => config.name === name);
  }
}

/** One after the other, in the order of the configuration: each is told of those before it. */
async function startAll(
  policies: readonly PolicyConfig[],
  paths: FollowedPaths,
  options: LivePolicyOptions,
): Promise<readonly StartedLineage[]> {
  const started: StartedLineage[] = [];
  const beside = () => started.map(({ lineage }) => lineage.deciding);
  const toolchain = createToolchain({ path: options.searchPath });
  try {
    for (const policy of policies) {
      const mirrored = await paths.first(policy);
      const onError = (error: unknown) => options.onEvaluationError(error, undefined, policy.name);
      started.push(await startLineage(policy, policies, { ...options, toolchain, beside }, mirrored, onError));
    }
    return started;
  } catch (error) {
    for (const { lineage } of started) await lineage.close();
    throw error;
  } finally {
    await toolchain.close();
  }
}
