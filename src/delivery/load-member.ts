/** The part of the composition root that brings one policy from the configuration to where it can decide. */

import type { PolicyConfig } from '../configured/policy.ts';
import { createEngine } from '../decision/engines/table.ts';
import { largeDataBytes } from '../decision/isolation/choose.ts';
import {
  type IsolatedPolicy,
  type IsolationOptions,
  loadInThreads,
  loadIsolated,
} from '../decision/isolation/isolate.ts';
import type { PackedPolicy } from '../decision/isolation/messages.ts';
import { packPolicy, sharePolicy, unpackPolicy } from '../decision/isolation/pack.ts';
import { outlastEvaluations } from '../decision/outlast.ts';
import { rememberResults } from '../decision/remember.ts';
import { type EvaluationError, PolicyError } from '../errors.ts';
import type { KeepablePolicy } from '../policy/kept.ts';
import { measurePolicy } from '../policy/measure.ts';
import { type PrepareOptions, preparePolicy } from '../policy/prepare.ts';
import type { Toolchain } from '../policy/toolchain/protocol.ts';
import type { PolicyMember } from './active-policy.ts';
import { loadLogRules } from './log-rules.ts';
import { prepareApart } from './prepare-apart.ts';
import { refuseSharedRoots } from './refuse-shared-roots.ts';
import type { Replicas } from './replicas.ts';

/** Where a policy is loaded from, and who is told what happens to it while it decides. */
export interface LoadOptions extends Pick<PrepareOptions, 'runTests'> {
  /** Told of what is about to be loaded, for whoever keeps it. */
  readonly onPrepared?: (policy: KeepablePolicy) => void;
  /** A thread of the policy was lost and is being replaced. */
  readonly onLost?: (cause: EvaluationError, policy: string) => void;
  /** An evaluation held this thread up for so long, ms; the policy is evaluated in threads of its own from now on. */
  readonly onMoved?: (tookMs: number, policy: string) => void;
  /** Whether decisions are logged, so that `data.system.log` is asked for. */
  readonly logRules?: boolean | undefined;
  /** Those who decide by it, where that is not this process. */
  readonly replicas?: Replicas | undefined;
}

export interface Sources extends LoadOptions {
  /** What decides already; none by default. */
  readonly beside?: () => readonly PolicyMember[];
  readonly toolchain: Toolchain;
  readonly searchPath: string | undefined;
}

/**
 * @param all that the configuration names, this one among them
 * @throws PolicyError that names the policy, where it is one of several
 */
export async function loadMember(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
): Promise<PolicyMember> {
  const loading = prepareAndLoad(config, sources);
  return all.length > 1 ? nameFailure(loading, config.name) : loading;
}

async function prepareAndLoad(config: PolicyConfig, sources: Sources): Promise<PolicyMember> {
  const { path, entrypoint, name } = config;
  const engine = await createEngine(config);
  const options: IsolationOptions = {
    config,
    engine,
    bytes: engine.needs === 'none' ? 0 : await measurePolicy(path),
    onLost: (cause) => sources.onLost?.(cause, name),
    onMoved: (tookMs) => sources.onMoved?.(tookMs, name),
  };
  const isLarge = options.bytes > largeDataBytes && config.isolation !== 'inline';
  const { prepared, loaded, place, packed, replica } = await (isLarge ? loadApart : loadHere)(options, sources);
  const known = { config, prepared, place, replica, loaded };
  const member: PolicyMember = { ...known, origin: 'configured', loadedAtMs: Date.now() };
  try {
    if (!loaded.entrypoints.includes(entrypoint))
      throw new PolicyError(
        `The policy has no entrypoint ${entrypoint}; it has ${loaded.entrypoints.join(', ')}. Set policy.entrypoint.`,
      );
    refuseSharedRoots(member, sources.beside?.() ?? []);
    const logRules =
      prepared.logRules && (await loadLogRules(prepared.logRules, packed(), loaded.entrypoints, options));
    const lasting = outlastEvaluations(logRules?.closeBehind(loaded) ?? loaded);
    return { ...member, loaded: rememberResults(lasting), logRules };
  } catch (error) {
    await loaded.close();
    throw error;
  }
}

interface Member extends Pick<PolicyMember, 'prepared' | 'loaded' | 'place' | 'replica'> {
  /** For other threads. */
  readonly packed: () => PackedPolicy;
}

async function loadHere(
  options: IsolationOptions,
  { toolchain, runTests, onPrepared, logRules, replicas }: Sources,
): Promise<Member> {
  const { path, entrypoint, schema, signature } = options.config;
  const { needs } = options.engine;
  const { policy, ...prepared } = await preparePolicy({
    path,
    entrypoint,
    toolchain,
    needs,
    signature,
    mustFitSchema: schema === 'strict',
    logRules,
    ...(runTests !== undefined && { runTests }),
  });
  onPrepared?.({ ...policy, logRules: prepared.logRules });
  const packed = () => packPolicy(policy);
  const loaded = replicas
    ? await replicas.load(options.config, packed(), options.bytes)
    : await loadIsolated(policy, options);
  return { prepared, packed, ...loaded };
}

/** Much data is seconds of work, in which the event loop would stand still: this thread never sees any of it. */
async function loadApart(
  options: IsolationOptions,
  { searchPath, runTests, onPrepared, logRules, replicas }: Sources,
): Promise<Member> {
  const { path, entrypoint, schema, signature } = options.config;
  const { needs } = options.engine;
  const mustFitSchema = schema === 'strict';
  const wanted = { path, entrypoint, needs, searchPath, runTests, mustFitSchema, signature, logRules };
  const { policy, ...prepared } = await prepareApart(wanted);
  onPrepared?.({ ...policy, logRules: prepared.logRules });
  const loaded = replicas
    ? await replicas.load(options.config, policy, options.bytes)
    : await loadLarge(policy, options);
  return { prepared, packed: () => policy, ...loaded };
}

async function loadLarge(policy: PackedPolicy, options: IsolationOptions): Promise<IsolatedPolicy> {
  const loaded = await loadInThreads(policy, options);
  return { loaded, place: { place: 'worker', why: 'the policy has much data' } };
}

/**
 * Loads what another process has prepared.
 *
 * @param bytes of all files of the policy
 * @throws PolicyError
 */
export async function loadPrepared(
  config: PolicyConfig,
  policy: PackedPolicy,
  { bytes, onLost, onMoved }: Pick<LoadOptions, 'onLost' | 'onMoved'> & { readonly bytes: number },
): Promise<IsolatedPolicy> {
  const { name } = config;
  const options: IsolationOptions = {
    config,
    engine: await createEngine(config),
    bytes,
    onLost: (cause) => onLost?.(cause, name),
    onMoved: (tookMs) => onMoved?.(tookMs, name),
  };
  const isLarge = bytes > largeDataBytes && config.isolation !== 'inline';
  const { loaded, place } = await (isLarge
    ? loadLarge(sharePolicy(policy), options)
    : loadIsolated(unpackPolicy(policy), options));
  return { place, loaded: rememberResults(outlastEvaluations(loaded)) };
}

/** Of several policies the message says which one it is about. */
async function nameFailure<Loaded>(loading: Promise<Loaded>, name: string): Promise<Loaded> {
  try {
    return await loading;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const [summary = ''] = error.message.split('\n', 1);
    throw new PolicyError(`policy.all_of ${name}: ${summary}`, error.faults, { cause: error });
  }
}
