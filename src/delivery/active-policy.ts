/** The part of the composition root that brings policies from the configuration to where they can decide. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createAllOf, uniteReads } from '../decision/all-of.ts';
import { createDecider, type Decide } from '../decision/decide.ts';
import { createEngine } from '../decision/engines/table.ts';
import { largeDataBytes, type Place } from '../decision/isolation/choose.ts';
import { type IsolationOptions, loadInThreads, loadIsolated } from '../decision/isolation/isolate.ts';
import type { PackedPolicy } from '../decision/isolation/messages.ts';
import { packPolicy } from '../decision/isolation/pack.ts';
import { outlastEvaluations } from '../decision/outlast.ts';
import { rememberResults } from '../decision/remember.ts';
import { type EvaluationError, PolicyError } from '../errors.ts';
import { contentMembers } from '../input/ask/asked.ts';
import type { LogRules } from '../management/mask.ts';
import { downloadBundle } from '../policy/download.ts';
import type { KeepablePolicy } from '../policy/kept.ts';
import { measurePolicy } from '../policy/measure.ts';
import { type PreparedPolicy, type PrepareOptions, preparePolicy } from '../policy/prepare.ts';
import type { Toolchain } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { Logger } from '../telemetry/log.ts';
import type { AskedRequest, Config, DecidingPolicy, InputNeeds, LoadedPolicy, PolicyConfig } from '../types.ts';
import { loadLogRules } from './log-rules.ts';
import { prepareApart } from './prepare-apart.ts';
import { refuseSharedRoots } from './refuse-shared-roots.ts';

/** One policy of those that must all allow. */
export interface PolicyMember {
  readonly config: PolicyConfig;
  readonly prepared: Omit<PreparedPolicy, 'policy'>;
  readonly loaded: LoadedPolicy;
  /** Where it is evaluated, and why there. */
  readonly place: Place;
  /** When it was ready to decide, Unix time. */
  readonly loadedAtMs: number;
  /** `kept`: from an earlier run, because what is configured could not be loaded. `none`: there is none yet, all is denied. */
  readonly origin: 'configured' | 'kept' | 'none';
  /** What it says of the log of its decisions, where that is asked for and it says anything. */
  readonly logRules?: LogRules | undefined;
}

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
}

/** All that decides, as one. */
export interface ActivePolicy {
  /** In the order of the configuration, at least one. */
  readonly members: readonly PolicyMember[];
  /** Of all members, joined by commas. */
  readonly revision: string;
  readonly reads: InputNeeds;
  /** Codes that METADATA of any member declares. */
  readonly codes: ReadonlySet<string>;
  /** Why members can't decide at the moment, a sentence for each that can't. */
  notReady(): readonly string[];
  close(): Promise<void>;
}

/**
 * Prepares and loads the policies that a configuration names: what `check` does, and what `serve` does before it listens.
 *
 * @param options.runTests `false` only where nothing is enforced
 * @throws PolicyError
 */
export async function loadPolicy(
  config: Pick<Config, 'policies'>,
  searchPath: string | undefined,
  options: LoadOptions = {},
): Promise<ActivePolicy> {
  const toolchain = createToolchain({ path: searchPath });
  const members: PolicyMember[] = [];
  try {
    for (const policy of config.policies)
      members.push(
        await loadOnce(policy, config.policies, { toolchain, searchPath, beside: () => members, ...options }),
      );
  } catch (error) {
    for (const { loaded } of members) await loaded.close();
    throw error;
  } finally {
    await toolchain.close();
  }
  return uniteMembers(members);
}

/** A server's bundle is got into a directory of its own: what lies in `state_dir` is the running sidecar's. */
async function loadOnce(policy: PolicyConfig, all: readonly PolicyConfig[], sources: Sources): Promise<PolicyMember> {
  if (policy.bundle === undefined) return loadMember(policy, all, sources);
  const { bytes } = await downloadBundle(policy.bundle, {
    etag: undefined,
    waitMs: 0,
    signal: new AbortController().signal,
  });
  const directory = await mkdtemp(join(tmpdir(), 'opallama-'));
  try {
    const path = join(directory, 'bundle.tar.gz');
    await writeFile(path, bytes ?? '');
    return { ...(await loadMember({ ...policy, path }, all, sources)), config: policy };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @param members in the order of the configuration, at least one */
export function uniteMembers(members: readonly PolicyMember[]): ActivePolicy {
  const all = members.map(({ loaded }) => loaded);
  return {
    members,
    get revision() {
      return all.map(({ revision }) => revision).join(',');
    },
    reads: uniteReads(all),
    codes: new Set(all.flatMap(({ codes }) => [...codes])),
    notReady: () => all.flatMap((loaded) => loaded.notReady?.() ?? []),
    async close() {
      for (const loaded of all) await loaded.close();
    },
  };
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
  const { prepared, loaded, place, packed } = await (isLarge ? loadApart : loadHere)(options, sources);
  const member: PolicyMember = { config, prepared, place, loaded, origin: 'configured', loadedAtMs: Date.now() };
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

interface Member extends Pick<PolicyMember, 'prepared' | 'loaded' | 'place'> {
  /** For other threads. */
  readonly packed: () => PackedPolicy;
}

async function loadHere(
  options: IsolationOptions,
  { toolchain, runTests, onPrepared, logRules }: Sources,
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
  return { prepared, packed: () => packPolicy(policy), ...(await loadIsolated(policy, options)) };
}

/** Much data is seconds of work, in which the event loop would stand still: this thread never sees any of it. */
async function loadApart(
  options: IsolationOptions,
  { searchPath, runTests, onPrepared, logRules }: Sources,
): Promise<Member> {
  const { path, entrypoint, schema, signature } = options.config;
  const { needs } = options.engine;
  const mustFitSchema = schema === 'strict';
  const wanted = { path, entrypoint, needs, searchPath, runTests, mustFitSchema, signature, logRules };
  const { policy, ...prepared } = await prepareApart(wanted);
  onPrepared?.({ ...policy, logRules: prepared.logRules });
  const loaded = await loadInThreads(policy, options);
  return { prepared, packed: () => policy, loaded, place: { place: 'worker', why: 'the policy has much data' } };
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

/** @param onError told about each failed evaluation, with the name of its policy */
function createDecide(
  { members }: ActivePolicy,
  onError: (error: unknown, asked: AskedRequest, policy: string) => void,
): Decide {
  const deciders = members.map(({ config, loaded }) => {
    const { name, engine, entrypoint, mode, denyListOperations } = config;
    const decide = createDecider({
      engine,
      policy: () => loaded,
      entrypoint,
      mode,
      denyListOperations,
      onError: (error, asked) => onError(error, asked, name),
    });
    return { name, decide };
  });
  const [only, ...others] = deciders;
  return only !== undefined && others.length === 0 ? only.decide : createAllOf(deciders);
}

/**
 * The policy as a request sees it.
 *
 * @param onError told about each failed evaluation, with the name of its policy
 */
export function createDeciding(policy: ActivePolicy, onError: Parameters<typeof createDecide>[1]): DecidingPolicy {
  const { reads, codes } = policy;
  return {
    reads,
    codes,
    readsContent: reads.all || contentMembers.some((member) => reads.members.has(member)),
    decide: createDecide(policy, onError),
  };
}

/** Says what was loaded, and what about it an operator should know. */
export function logPolicy(log: Logger, { config, prepared, loaded, place }: PolicyMember): void {
  const { name, entrypoint, engine, path } = config;
  const shape = loaded.shape(entrypoint);
  const facts = { policy: name, path, engine, entrypoint, revision: loaded.revision, shape };
  const isolation = { place: place.place, reason: place.why };
  log.info({ ...facts, tests_passed: prepared.testsPassed, isolation }, 'policy loaded');
  for (const warning of prepared.warnings ?? []) log.warn({ policy: name, path }, warning);
  if (prepared.ignoredFiles.length > 0) {
    log.info({ files: prepared.ignoredFiles }, 'files that are neither Rego nor data.json or data.yaml were ignored');
  }
  const notReady = loaded.notReady?.();
  if (notReady !== undefined)
    log.warn({ policy: name, reason: notReady }, 'the engine can not decide yet: everything is denied');
  const isDenyList = shape === 'deny_list' || (shape === 'unknown' && config.mode === 'deny_list');
  if (isDenyList) {
    log.warn(
      { entrypoint, allowed_by_name: config.denyListOperations },
      'the policy is a deny-list: what no rule denies is allowed, but for management operations and cloud models',
    );
  } else if (shape === 'unknown') {
    log.warn(
      { entrypoint },
      'the shape of the policy is not known: it must say allow. Set policy.mode: deny_list if it is a deny-list',
    );
  }
}
