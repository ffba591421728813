/**
 * Changes of policies, one after the other: each is taken as a whole, refused as a whole, or waits because somebody rolled
 * back.
 */

import type { PolicyConfig } from '../configured/policy.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { AskedRequest } from '../types.ts';
import type { PolicyMember } from './active-policy.ts';
import type { Choice } from './choose-deciding.ts';
import type { Lineage } from './lineage.ts';
import type { LoadOptions } from './load-member.ts';
import { type LoadedSource, loadConfigured } from './policy-source.ts';
import { createSaves } from './save-lineages.ts';
import type { StartedLineage } from './start-lineage.ts';

export interface ChangeOptions extends Pick<LoadOptions, 'onLost' | 'onMoved' | 'logRules' | 'replicas'> {
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
  /** Something that an earlier run kept could not be taken up again. */
  readonly onNotRestored?: (error: unknown, policy: string) => void;
}

/** A change that did not take place. */
export interface RefusedChange {
  readonly policy: string;
  readonly atMs: number;
  readonly error: unknown;
}

export interface Changes {
  /** Of each policy, by its name, whose last change was refused. */
  readonly refused: Map<string, RefusedChange>;
  /** Since when a change waits, of each policy that somebody rolled back, by its name; Unix time. */
  readonly waiting: ReadonlyMap<string, number>;
  /** A change will come. */
  expect(): void;
  /** Loads what lies there now, and has it decide. Never rejects. */
  replace(lineage: Lineage, why: 'changed' | 'asked for'): Promise<void>;
  /** @param deciding that goes on in its place */
  refuse(deciding: PolicyMember, error: unknown): void;
  /** Tells of what a policy began with, and takes up what else an earlier run left of it. */
  begin(started: StartedLineage): void;
  /** Keeps for a restart what somebody changed of it. Never rejects. */
  save(lineage: Lineage): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/** @param policies that the configuration names */
export function createChanges(
  policies: readonly PolicyConfig[],
  lineages: readonly Lineage[],
  choice: Choice,
  options: ChangeOptions,
): Changes {
  const refused = new Map<string, RefusedChange>();
  const waiting = new Map<string, number>();
  const saves = createSaves(waiting, (error, policy) => options.onNotKept?.(error, policy));
  // Its child process, of 40 to 400 MB, starts when it is asked and ends when it was not for some seconds.
  const toolchain = createToolchain({ path: options.searchPath, inBackground: true });
  /** One change after the other. */
  let last: Promise<void> = Promise.resolve();
  let closed = false;

  return {
    refused,
    waiting,
    expect: () => toolchain.warmUp(),
    replace: (lineage, why) => enqueue(() => replace(lineage, why)),
    refuse,
    begin,
    save: saves.save,
    async close() {
      closed = true;
      await last;
      await saves.close();
      await toolchain.close();
    },
  };

  function enqueue(change: () => Promise<void>): Promise<void> {
    last = last.then(change);
    return last;
  }

  function begin({ lineage, configured, failure, loss, waitingSinceMs, restoreOthers }: StartedLineage): void {
    const { deciding, candidate } = lineage;
    const { name } = lineage.config;
    if (deciding.origin !== 'none') options.onLoaded(deciding, 100);
    if (candidate !== undefined) options.onLoaded(candidate.member, candidate.percent);
    if (failure !== undefined) refuse(deciding, failure);
    if (loss !== undefined) options.onNotRestored?.(loss, name);
    if (waitingSinceMs !== undefined) waiting.set(name, waitingSinceMs);
    if (configured !== undefined) saves.expect(configured.member, configured.keep);
    void enqueue(async () => {
      // Nobody waits for what there is to go back to.
      if (!closed) {
        const losses = await restoreOthers({ ...options, toolchain });
        for (const one of losses) options.onNotRestored?.(one, name);
        saves.restored(lineage);
      }
      await saves.save(lineage);
    });
  }

  async function replace(lineage: Lineage, why: 'changed' | 'asked for'): Promise<void> {
    if (closed) return;
    const { config, heldSinceMs } = lineage;
    if (heldSinceMs !== undefined && why === 'changed') {
      await wait(lineage);
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
      await wait(lineage);
      await member.loaded.close();
      return;
    }
    refused.delete(config.name);
    waiting.delete(config.name);
    lineage.take(member);
    await choice.renew();
    const { candidate } = lineage;
    options.onLoaded(member, candidate === undefined ? 100 : candidate.percent);
    saves.expect(member, keep);
    await saves.save(lineage);
  }

  async function wait(lineage: Lineage): Promise<void> {
    const { name } = lineage.config;
    if (waiting.has(name)) return;
    waiting.set(name, Date.now());
    options.onWaiting?.(name);
    await saves.save(lineage);
  }

  function refuse(deciding: PolicyMember, error: unknown): void {
    const change = { policy: deciding.config.name, atMs: Date.now(), error };
    refused.set(change.policy, change);
    options.onRefused(change, deciding);
  }
}
