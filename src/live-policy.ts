/**
 * The policies of a running sidecar: loaded at the start, replaced as a whole where what they were read from has changed.
 * What is wrong with a new one leaves the one before it in place.
 */
import {
  type ActivePolicy,
  createDeciding,
  type LoadOptions,
  type PolicyMember,
  uniteMembers,
} from './active-policy.ts';
import { formatFault, PolicyError } from './errors.ts';
import { createToolchain } from './policy/toolchain/toolchain.ts';
import { fingerprintPath, type PathWatch, watchPath } from './policy/watch.ts';
import { type LoadedSource, loadConfigured, loadFirst } from './policy-source.ts';
import type { Config, DecidingPolicy, PolicyConfig } from './types.ts';

export interface LivePolicyOptions extends Pick<LoadOptions, 'onLost' | 'onMoved'> {
  /** Value of PATH, for an `opa` command where the module is not there. */
  readonly searchPath: string | undefined;
  /** Told of each policy that took its place, at the start and later. */
  readonly onLoaded: (member: PolicyMember) => void;
  /** Told of each change that was refused. */
  readonly onRefused: (refused: RefusedChange, deciding: PolicyMember) => void;
  readonly onEvaluationError: (error: unknown, decisionId: string, policy: string) => void;
  /** A policy that took its place could not be kept for a restart. */
  readonly onNotKept?: (error: unknown, policy: string) => void;
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
  /** What decides a request that begins now. */
  readonly deciding: () => DecidingPolicy;
  readonly active: () => ActivePolicy;
  /** Of each policy, by its name, whose last change was refused. */
  refused(): ReadonlyMap<string, RefusedChange>;
  /** Looks now whether anything changed, and takes it in. Never rejects. */
  look(): Promise<void>;
  /**
   * Looks at one policy, and tries again what was refused as it lies there: it may have failed for a reason of the moment.
   * Never rejects.
   *
   * @param name of a policy that is there
   * @returns what came of it
   */
  reload(name: string): Promise<'loaded' | 'unchanged' | 'refused'>;
  /** Lets what is being evaluated end first. */
  close(): Promise<void>;
}

/** @throws PolicyError where a policy can't be loaded at the start: then there is none to go on with */
export async function startLivePolicy(
  { policies }: Pick<Config, 'policies'>,
  options: LivePolicyOptions,
): Promise<LivePolicy> {
  const refused = new Map<string, RefusedChange>();
  const watches = new Map<string, PathWatch>();
  /** One change after the other. */
  let last: Promise<void> = Promise.resolve();
  let closed = false;

  const loaded: LoadedSource[] = [];
  const states: string[] = [];
  const first = createToolchain({ path: options.searchPath });
  try {
    for (const policy of policies) {
      // Before it is read: a change meanwhile is one more change.
      states.push(await fingerprintPath(policy.path));
      loaded.push(await loadFirst(policy, policies, { ...options, toolchain: first }));
    }
  } catch (error) {
    for (const { member } of loaded) await member.loaded.close();
    throw error;
  } finally {
    await first.close();
  }
  const members = loaded.map(({ member }) => member);
  // For changes: its child process, of some 250 MB, starts when it is asked and ends when it was not for some seconds.
  const toolchain = createToolchain({ path: options.searchPath });
  let active = uniteMembers(members);
  let deciding = createDeciding(active, options.onEvaluationError);
  for (const { member, failure, keep } of loaded) {
    options.onLoaded(member);
    if (failure !== undefined) refuse(member, failure);
    void enqueue(() => tryToKeep(member.config, keep));
  }

  for (const [index, member] of members.entries()) {
    // An engine that reads nothing here has nothing that could change here.
    if (member.prepared.kind === 'none') continue;
    watches.set(
      member.config.name,
      watchPath(states[index] ?? '', {
        path: member.config.path,
        onChange: () => enqueue(() => replace(member.config)),
        ...(options.everyMs !== undefined && { everyMs: options.everyMs }),
      }),
    );
  }

  return {
    deciding: () => deciding,
    active: () => active,
    refused: () => refused,
    async look() {
      await Promise.all([...watches.values()].map((watch) => watch.look()));
    },
    async reload(name) {
      const former = memberOf(name);
      const known = refused.get(name);
      await watches.get(name)?.look();
      const isUntouched = refused.get(name) === known && memberOf(name) === former;
      if (isUntouched && known !== undefined && former !== undefined) await enqueue(() => replace(former.config));
      if (refused.has(name)) return 'refused';
      return memberOf(name) === former ? 'unchanged' : 'loaded';
    },
    async close() {
      closed = true;
      for (const watch of watches.values()) watch.close();
      await last;
      await toolchain.close();
      await active.close();
    },
  };

  function memberOf(name: string): PolicyMember | undefined {
    return active.members.find(({ config }) => config.name === name);
  }

  function enqueue(change: () => Promise<void>): Promise<void> {
    last = last.then(change);
    return last;
  }

  async function replace(config: PolicyConfig): Promise<void> {
    const former = active.members.find((member) => member.config === config);
    if (closed || former === undefined) return;
    let loaded: LoadedSource;
    try {
      loaded = await loadConfigured(config, policies, { ...options, toolchain });
    } catch (error) {
      refuse(former, error);
      return;
    }
    const { member, keep } = loaded;
    refused.delete(config.name);
    // In one step: a request sees the one or the other.
    active = uniteMembers(active.members.map((one) => (one === former ? member : one)));
    deciding = createDeciding(active, options.onEvaluationError);
    options.onLoaded(member);
    // Not waited for: what is being evaluated by it may take its time.
    former.loaded.close().catch((error: unknown) => options.onEvaluationError(error, '', config.name));
    await tryToKeep(config, keep);
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

/** A line for each policy, and for each change that was refused since. */
export function describeState(policy: LivePolicy): readonly string[] {
  const refused = policy.refused();
  return policy.active().members.flatMap(({ config: { name }, loaded, origin }) => {
    const change = refused.get(name);
    const lines = [
      `${name}: revision ${loaded.revision} decides${origin === 'kept' ? ', kept from an earlier run' : ''}`,
    ];
    if (change === undefined) return lines;
    const summary = firstLine(change.error instanceof Error ? change.error.message : String(change.error));
    const faults = change.error instanceof PolicyError ? change.error.faults : [];
    return [
      ...lines,
      `${name}: the change of ${new Date(change.atMs).toISOString()} was refused: ${summary}`,
      ...faults.map((fault) => `  ${firstLine(formatFault(fault))}`),
    ];
  });
}

/** What follows quotes the policy, which is the log's to show. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
