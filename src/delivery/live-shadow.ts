/**
 * The part of the composition root that keeps a shadow: loads it beside what decides, replaces it where what it was read
 * from has changed, and keeps what it disagreed about. Whatever is wrong with it is told of and stops nothing.
 */
import { recordReasons } from '../audit/record.ts';
import type { BundleConfig, ShadowConfig } from '../configured/policy.ts';
import { createShadow, type Shadow } from '../decision/shadow.ts';
import { contentMembers } from '../input/ask/asked.ts';
import { withoutContent } from '../input/without-content.ts';
import { createMirror, type Mirror } from '../policy/mirror.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { fingerprintPath, type PathWatch, watchPath } from '../policy/watch.ts';
import type { AskedRequest, DecidingPolicy, ShadowEvent, ShadowResult } from '../types.ts';
import { createDeciding, type PolicyMember, uniteMembers } from './active-policy.ts';
import type { RefusedChange } from './changes.ts';
import { type LoadOptions, loadMember } from './load-member.ts';

export interface LiveShadowOptions extends Pick<LoadOptions, 'onLost' | 'onMoved' | 'replicas'> {
  /** Value of PATH, for an `opa` command where the module is not there. */
  readonly searchPath: string | undefined;
  readonly onLoaded: (member: PolicyMember) => void;
  /** Told of each state that could not be loaded, the first one too. */
  readonly onRefused: (refused: RefusedChange) => void;
  /** @param asked undefined where it was at no request */
  readonly onEvaluationError: (error: unknown, asked: AskedRequest | undefined) => void;
  readonly onResult: (result: ShadowResult) => void;
  readonly onDisagreement: (event: ShadowEvent) => void;
}

export interface LiveShadow extends Pick<Shadow, 'observe'> {
  readonly config: ShadowConfig;
  /** Undefined while none is loaded. */
  member(): PolicyMember | undefined;
  /** The last change, where it was refused. */
  refused(): RefusedChange | undefined;
  /** Since the start. */
  results(): Readonly<Record<ShadowResult, number>>;
  /** The latest ones, the newest last. */
  disagreements(): readonly ShadowEvent[];
  /** Of a request that another process asked it about. */
  readonly onResult: (result: ShadowResult) => void;
  readonly onDisagreement: (event: ShadowEvent) => void;
  /** Looks now whether anything changed, and takes it in. Never rejects. */
  look(): Promise<void>;
  /** Tries again what was refused as well. Never rejects. @returns what came of it */
  reload(): Promise<'loaded' | 'unchanged' | 'refused'>;
  close(): Promise<void>;
}

/** Disagreements that are kept for whoever asks. */
const mostKept = 100;

/** Asks a shadow, wherever it is loaded. */
export function createAsking(
  { name, sample }: ShadowConfig,
  options: Pick<LiveShadowOptions, 'onResult' | 'onDisagreement' | 'onEvaluationError'> & {
    readonly policy: () => DecidingPolicy | undefined;
  },
): Shadow {
  return createShadow({
    name,
    sample,
    policy: options.policy,
    selective: [...contentMembers, 'agent_role'],
    recordCodes: (decision, policy) => recordReasons(decision, policy).codes,
    withoutContent,
    onResult: options.onResult,
    onDisagreement: options.onDisagreement,
    onError: (error) => options.onEvaluationError(error, undefined),
  });
}

/** Begins to load and returns: the sidecar does not wait for a shadow, and starts without one that is broken. */
export function startLiveShadow(config: ShadowConfig, options: LiveShadowOptions): LiveShadow {
  const toolchain = createToolchain({ path: options.searchPath, inBackground: true });
  const kept: ShadowEvent[] = [];
  const results: Record<ShadowResult, number> = {
    agree: 0,
    newly_denied: 0,
    newly_allowed: 0,
    other_reasons: 0,
    error: 0,
    dropped: 0,
  };
  let member: PolicyMember | undefined;
  let asked: DecidingPolicy | undefined;
  let refused: RefusedChange | undefined;
  let watch: PathWatch | undefined;
  let closed = false;

  const onResult = (result: ShadowResult): void => {
    results[result] += 1;
    options.onResult(result);
  };
  const onDisagreement = (event: ShadowEvent): void => {
    kept.push(event);
    if (kept.length > mostKept) kept.shift();
    options.onDisagreement(event);
  };
  const { onEvaluationError } = options;
  const shadow = createAsking(config, { policy: () => asked, onResult, onDisagreement, onEvaluationError });
  const mirror = config.bundle && mirrorOf(config.bundle);
  /** One change after the other. */
  let last = start();

  return {
    config,
    observe: shadow.observe,
    member: () => member,
    refused: () => refused,
    results: () => results,
    disagreements: () => kept,
    onResult,
    onDisagreement,
    look,
    async reload() {
      const [known, former] = [refused, member];
      await look();
      if (known !== undefined && refused === known && member === former) await enqueueLoad();
      if (refused !== undefined) return 'refused';
      return member === former ? 'unchanged' : 'loaded';
    },
    async close() {
      closed = true;
      mirror?.close();
      watch?.close();
      shadow.close();
      await last;
      await toolchain.close();
      await member?.loaded.close();
    },
  };

  async function look(): Promise<void> {
    await last;
    await mirror?.look();
    await watch?.look();
  }

  function enqueueLoad(): Promise<void> {
    last = last.then(load);
    return last;
  }

  async function start(): Promise<void> {
    const mirrored = await mirror?.first();
    // Before it is read: a change meanwhile is one more change.
    const state = await fingerprintPath(config.path);
    if (mirrored === undefined) await load();
    else refuse(mirrored);
    // An engine that reads nothing here has nothing that could change here.
    if (closed || member?.prepared.kind === 'none') return;
    watch = watchPath(state, {
      path: config.path,
      onUnsettled: () => toolchain.warmUp(),
      onChange: enqueueLoad,
    });
    mirror?.follow();
  }

  function mirrorOf(bundle: BundleConfig): Mirror {
    let failure: unknown;
    return createMirror({
      bundle,
      file: config.path,
      signature: config.signature,
      takesDeltas: config.engine !== 'cedar',
      onWritten: async () => watch?.look(),
      onFailure(error) {
        if (error !== undefined) refuse(error);
        else if (refused?.error === failure) refused = undefined;
        failure = error;
      },
    });
  }

  function refuse(error: unknown): void {
    refused = { policy: config.name, atMs: Date.now(), error };
    options.onRefused(refused);
  }

  async function load(): Promise<void> {
    if (closed) return;
    let next: PolicyMember;
    try {
      next = await loadMember(config, [config], { ...options, toolchain });
    } catch (error) {
      refuse(error);
      return;
    }
    const former = member;
    refused = undefined;
    member = next;
    asked = createDeciding(uniteMembers([next]), options.onEvaluationError);
    await options.replicas?.askBeside(next.replica);
    options.onLoaded(next);
    // Not waited for: what is being evaluated by it may take its time.
    former?.loaded.close().catch((error: unknown) => options.onEvaluationError(error, undefined));
  }
}
