/** Loads a policy where it is to be evaluated: in this thread, in threads of its own, or in both. */

import type { PolicyConfig } from '../../configured/policy.ts';
import { EvaluationError, PolicyError } from '../../errors.ts';
import type { DecisionEngine, LoadedPolicy, PolicyInput, PolicySet } from '../../types.ts';
import { choosePlace, type Place, readsOpenEnded, shortInputs } from './choose.ts';
import { isLargeInput } from './large-input.ts';
import type { PackedPolicy } from './messages.ts';
import { packPolicy } from './pack.ts';
import { startPool } from './pool.ts';

export interface IsolationOptions {
  readonly config: PolicyConfig;
  readonly engine: DecisionEngine;
  /** Of all files of the policy. */
  readonly bytes: number;
  /** A thread of the policy was lost and is being replaced. */
  readonly onLost: (cause: EvaluationError) => void;
  /** A policy that was evaluated in this thread has held it up for so long, ms, and is evaluated in threads of its own from now on. */
  readonly onMoved: (tookMs: number) => void;
}

export interface IsolatedPolicy {
  readonly loaded: LoadedPolicy;
  readonly place: Place;
}

/** An evaluation that holds the event loop up for longer is the last one of its policy that does, ms. */
const slowMs = 20;
/** What a thread is handed at once of an engine that may wait for something. */
const concurrentUserCode = 16;

/** @throws PolicyError */
export async function loadIsolated(policy: PolicySet, options: IsolationOptions): Promise<IsolatedPolicy> {
  const { engine, config } = options;
  if (engine.holds === 'user_code' && config.isolation === 'inline') {
    throw new PolicyError(
      `The engine ${engine.name} always runs in threads of its own. Set policy.isolation to worker.`,
    );
  }
  const place = choosePlace(config, engine, policy, options.bytes);
  switch (place.place) {
    case 'worker':
      return { place, loaded: await loadInThreads(packPolicy(policy), options) };
    case 'inline':
      return { place, loaded: await engine.load(policy) };
    case 'by_input': {
      const inline = await engine.load(policy);
      // Some engines find out what is read when they load.
      if (!readsOpenEnded(inline.reads)) return { place: shortInputs, loaded: inline };
      return { place, loaded: evaluateByInput(inline, policy, options) };
    }
  }
}

/**
 * @param concurrency evaluations that a thread is handed at once
 * @throws PolicyError
 */
export function loadInThreads(
  policy: PackedPolicy,
  { config, engine, onLost }: Pick<IsolationOptions, 'config' | 'engine' | 'onLost'>,
  concurrency = engine.holds === 'user_code' ? concurrentUserCode : 1,
): Promise<LoadedPolicy> {
  return startPool({
    config,
    policy,
    onLost,
    concurrency,
    keepsDeadline: engine.holds === 'user_code' || engine.holds === 'interpreted',
  });
}

/** Inline for what is small; the threads are started by the first input that is not. */
function evaluateByInput(inline: LoadedPolicy, policy: PolicySet, options: IsolationOptions): LoadedPolicy {
  let threads: Promise<LoadedPolicy> | undefined;
  let isSlow = false;
  const members = inline.reads.all ? undefined : [...inline.reads.members];

  return {
    ...inline,
    evaluate(entrypoint, input) {
      if (isSlow || isLargeInput(input, members)) return evaluateInThreads(entrypoint, input);
      const started = performance.now();
      const results = inline.evaluate(entrypoint, input);
      const tookMs = performance.now() - started;
      if (tookMs > slowMs) {
        isSlow = true;
        options.onMoved(tookMs);
      }
      return results;
    },
    async close() {
      await Promise.all([inline.close(), threads?.then((loaded) => loaded.close())]);
    },
  };

  async function evaluateInThreads(entrypoint: string, input: PolicyInput): Promise<readonly unknown[]> {
    threads ??= loadInThreads(packPolicy(policy), options);
    let loaded: LoadedPolicy;
    try {
      loaded = await threads;
    } catch (error) {
      threads = undefined;
      const why = error instanceof Error ? error.message : String(error);
      throw new EvaluationError('engine_unavailable', `The policy could not be loaded in a thread: ${why}`);
    }
    return loaded.evaluate(entrypoint, input);
  }
}
