/** What policies say of the log of their decisions, asked in a thread of its own: it must not hold requests up. */

import type { PolicyConfig } from '../configured/policy.ts';
import { createEngine } from '../decision/engines/table.ts';
import type { IsolationOptions } from '../decision/isolation/isolate.ts';
import { loadInThreads } from '../decision/isolation/isolate.ts';
import type { PackedPolicy } from '../decision/isolation/messages.ts';
import { shareBytes } from '../decision/isolation/pack.ts';
import { PolicyError } from '../errors.ts';
import type { DecisionEvent } from '../management/decision-event.ts';
import type { LogRules } from '../management/mask.ts';
import { type LogRule, logEntrypoints, type PreparedLogRules } from '../policy/log-rules.ts';
import type { AuditEvent, LoadedPolicy } from '../types.ts';
import type { PolicyMember } from './active-policy.ts';

export interface LoadedLogRules extends LogRules {
  /** The policy, whose end is the end of its rules too, once events of its last decisions were made. */
  closeBehind(policy: LoadedPolicy): LoadedPolicy;
}

/** What is asked here is no input of a decision. */
interface LogPolicy {
  evaluate(entrypoint: string, input: MaskInput): readonly unknown[] | Promise<readonly unknown[]>;
}

interface MaskInput {
  readonly decision_id: string;
  /** Unix time in ns, for built-ins that ask what time it is. */
  readonly now_ns: number;
}

/** Events that are handed to the thread at once: to hand over takes longer than to mask. */
const atOnce = 16;
/** Behind the last decision, ms: its event is made within a second or two. */
const lingerMs = 10_000;

/**
 * @param policy whose rules they are
 * @param compiled entrypoints of the module that decides
 * @returns undefined where it has none
 * @throws PolicyError
 */
export async function loadLogRules(
  prepared: PreparedLogRules,
  policy: PackedPolicy,
  compiled: readonly string[],
  options: IsolationOptions,
): Promise<LoadedLogRules | undefined> {
  const { constants, ofBundle } = prepared;
  if (prepared.isUnknown === true) return unknown;
  const names = prepared.rules.filter((rule) => ofBundle === undefined || compiled.includes(logEntrypoints[rule]));
  for (const [rule, file] of ofBundle?.written ?? []) {
    if (names.includes(rule)) continue;
    throw new PolicyError(
      `Decisions are logged, and ${file} has a rule for that which was not compiled. Build the bundle by opallama build, or by opa build with -e ${logEntrypoints[rule]} too.`,
    );
  }
  if (names.length === 0 && Object.keys(constants).length === 0) return undefined;
  const loaded = names.length === 0 ? undefined : await load(prepared, policy, options);
  const asked: LogPolicy | undefined = loaded;
  const ask = (rule: LogRule) => {
    if (!names.includes(rule)) return Object.hasOwn(constants, rule) ? async () => [constants[rule]] : undefined;
    return async (event: DecisionEvent) =>
      (await asked?.evaluate(logEntrypoints[rule], { ...event, now_ns: Date.now() * 1e6 })) ?? [];
  };
  return {
    drop: ask('drop'),
    mask: ask('mask'),
    closeBehind: (deciding) => ({
      ...deciding,
      get revision() {
        return deciding.revision;
      },
      async close() {
        await deciding.close();
        if (loaded !== undefined) setTimeout(() => void loaded.close(), lingerMs).unref();
      },
    }),
  };
}

/** Of a policy of an earlier run, which did not log decisions and asked for no rules. */
const unknown: LoadedLogRules = {
  drop: async () => {
    throw new Error('It is not known what the kept policy masks.');
  },
  mask: undefined,
  closeBehind: (policy) => policy,
};

async function load(
  { wasm, rules }: PreparedLogRules,
  policy: PackedPolicy,
  { config, onLost }: IsolationOptions,
): Promise<LoadedPolicy> {
  const own: PolicyConfig = { ...config, engine: 'wasm', workers: 1 };
  const packed: PackedPolicy = {
    revision: policy.revision,
    wasm: wasm && shareBytes(wasm),
    dataText: policy.dataText,
    modules: {},
    files: new Map(),
    entrypoints: rules.map((rule) => logEntrypoints[rule]),
    reads: { all: true, members: new Set() },
    shapes: new Map(),
    codes: new Set(),
    deterministic: false,
  };
  return loadInThreads(packed, { config: own, engine: await createEngine(own), onLost }, atOnce);
}

export interface LogRulesOfEvents {
  /** A revision that may decide from now on. */
  take(member: PolicyMember): void;
  /** @returns what all that decided it say; undefined where one of them is not known any more */
  find(event: AuditEvent): readonly LogRules[] | undefined;
}

/** Which have such rules; others never say anything. */
const engines: ReadonlySet<string> = new Set(['wasm', 'topdown']);

/** @param policies in the order of the configuration */
export function createLogRulesOfEvents(policies: readonly PolicyConfig[]): LogRulesOfEvents {
  const known = new Map(policies.map(({ name }) => [name, new Map<string, readonly LogRules[]>()]));

  return {
    take({ config, loaded, logRules }) {
      const revisions = known.get(config.name);
      if (revisions === undefined) return;
      revisions.delete(loaded.revision);
      revisions.set(loaded.revision, logRules === undefined ? [] : [logRules]);
      const [oldest] = revisions.keys();
      // Some more than can decide: events are made a moment later.
      if (oldest !== undefined && revisions.size > config.keepRevisions + 4) revisions.delete(oldest);
    },
    find({ revision = '' }) {
      const revisions = policies.length === 1 ? [revision] : revision.split(',');
      const all = policies.map(({ name, engine }, index) =>
        engines.has(engine) ? known.get(name)?.get(revisions[index] ?? '') : [],
      );
      return all.includes(undefined) ? undefined : all.flatMap((rules) => rules ?? []);
    },
  };
}
