/** The part of the composition root that answers operators: what decides now, and what they may change of it. */

import type { AskAudit } from './audit/file/ask.ts';
import type { TalliedRevision } from './audit/tally.ts';
import { parseDuration, UnitError } from './config/units.ts';
import type { Address } from './configured/config.ts';
import type { RefusedChange } from './delivery/changes.ts';
import type { Candidate, Lineage } from './delivery/lineage.ts';
import type { LivePolicy } from './delivery/live-policy.ts';
import type { LiveShadow } from './delivery/live-shadow.ts';
import { nameSource } from './delivery/name-source.ts';
import { formatFault, PolicyError, RequestError } from './errors.ts';
import type {
  Administration,
  ChangeDocument,
  CoverageDocument,
  LogLevelDocument,
  PolicyDocument,
  RefusedDocument,
  ReloadDocument,
  StatusDocument,
  WorkerDocument,
} from './http/admin/contract.ts';
import type { Support } from './support.ts';
import { type LevelState, type LogLevel, settableLevels } from './telemetry/log-level.ts';
import { readVersion } from './version.ts';

export interface AdministrationParts {
  readonly policy: LivePolicy;
  readonly shadow: LiveShadow | undefined;
  readonly inFlight: () => number;
  readonly drain: Administration['drain'];
  /** Why the sidecar is not ready, in words; empty where it is. */
  readonly notReady: () => readonly string[];
  /** Id of the upstream. */
  readonly upstream: string;
  /** Decisions until now, by revision. */
  readonly tallied: () => Promise<ReadonlyMap<string, TalliedRevision>>;
  readonly explain: Administration['explain'];
  readonly identity: Administration['identity'];
  readonly logLevel: LogLevel;
  readonly support: Support;
  /** Undefined where no audit file is written. */
  readonly audit: AskAudit | undefined;
  /** Where other processes serve. */
  readonly workers: (() => readonly WorkerDocument[]) | undefined;
  /** What was bound, by name. */
  readonly listeners: () => Readonly<Record<string, Address>>;
}

export function createAdministration(parts: AdministrationParts): Administration {
  const { policy } = parts;
  const startedMs = Date.now();
  const version = readVersion();

  const administration: Administration = {
    status: () => ({
      version,
      started_at: new Date(startedMs).toISOString(),
      uptime_s: Math.round((Date.now() - startedMs) / 1000),
      in_flight: parts.inFlight(),
      ready: parts.notReady().length === 0,
      not_ready: parts.notReady(),
      upstream: parts.upstream,
      listeners: Object.fromEntries(
        Object.entries(parts.listeners()).map(([name, address]) => [name, formatAddress(address)]),
      ),
      policies: listPolicies(),
      workers: parts.workers?.(),
      shadow: parts.shadow && summarize(parts.shadow),
    }),
    identity: parts.identity,
    policies: listPolicies,
    async coverage() {
      const tallied = await parts.tallied();
      return policy.lineages().map((lineage, index) => describeCoverage(lineage, index, tallied));
    },
    explain: parts.explain,
    drain: parts.drain,
    revisions: (name) => {
      const { deciding, candidate, revisions } = find(name);
      return revisions.map((member) => ({
        revision: member.loaded.revision,
        state: member === deciding ? 'decides' : member === candidate?.member ? 'rollout' : 'kept',
        percent: member === candidate?.member ? candidate.percent : undefined,
        loaded_at: new Date(member.loadedAtMs).toISOString(),
        tests_passed: member.prepared.testsPassed,
        not_ready: member.loaded.notReady?.(),
      }));
    },
    async reload(name) {
      if (name === parts.shadow?.config.name) return reloadShadow(parts.shadow);
      const former = find(name).deciding.loaded.revision;
      const result = await policy.reload(name);
      return { ...describeChange(name, former), result, refused: describeRefused(policy.refused().get(name)) };
    },
    async rollBack(name, revision) {
      const former = find(name).deciding.loaded.revision;
      await policy.rollBack(name, revision);
      return describeChange(name, former);
    },
    async rollOut(name, percent) {
      const former = find(name).deciding.loaded.revision;
      await policy.rollOut(name, percent);
      return describeChange(name, former);
    },
    shadow() {
      const { shadow } = parts;
      if (shadow === undefined) throw new RequestError('unknown_policy', 'No shadow is configured: policy.shadow.');
      return { ...summarize(shadow), disagreements: shadow.disagreements() };
    },
    support: () => parts.support(administration),
    async audit(question) {
      if (parts.audit === undefined) throw new RequestError('unknown_route', 'No audit file is written: audit.file.');
      return await parts.audit(question);
    },
    logLevel: () => describeLevel(parts.logLevel.state()),
    setLogLevel(wanted, time) {
      const level = settableLevels.find((each) => each === wanted);
      if (level === undefined)
        throw new RequestError('invalid_member', `The member "level" must be one of ${settableLevels.join(', ')}.`);
      return describeLevel(parts.logLevel.set(level, time === undefined ? undefined : readTime(time)));
    },
  };
  return administration;

  function find(name: string): Lineage {
    const lineages = policy.lineages();
    const found = lineages.find(({ config }) => config.name === name);
    if (found !== undefined) return found;
    const names = lineages.map(({ config }) => config.name).join(', ');
    throw new RequestError('unknown_policy', `There is no such policy; there is ${names}.`);
  }

  function describeChange(name: string, former: string): ChangeDocument {
    const { deciding, candidate } = find(name);
    return {
      policy: name,
      former_revision: former,
      revision: deciding.loaded.revision,
      rollout: describeRollout(candidate),
    };
  }

  function listPolicies(): readonly PolicyDocument[] {
    return policy.lineages().map(({ config, deciding, candidate, heldSinceMs }) => ({
      name: config.name,
      revision: deciding.loaded.revision,
      engine: config.engine,
      entrypoint: config.entrypoint,
      path: nameSource(config),
      kind: deciding.prepared.kind,
      origin: deciding.origin,
      loaded_at: new Date(deciding.loadedAtMs).toISOString(),
      tests_passed: deciding.prepared.testsPassed,
      not_ready: deciding.loaded.notReady?.(),
      rollout: describeRollout(candidate),
      held_since: describeTime(heldSinceMs),
      waiting_since: describeTime(policy.waiting().get(config.name)),
      refused: describeRefused(policy.refused().get(config.name)),
    }));
  }
}

function summarize(shadow: LiveShadow): NonNullable<StatusDocument['shadow']> {
  const { name, engine, entrypoint, sample } = shadow.config;
  return {
    name,
    revision: shadow.member()?.loaded.revision,
    engine,
    entrypoint,
    path: nameSource(shadow.config),
    sample,
    refused: describeRefused(shadow.refused()),
    results: shadow.results(),
  };
}

async function reloadShadow(shadow: LiveShadow): Promise<ReloadDocument> {
  const revision = () => shadow.member()?.loaded.revision ?? 'none';
  const former = revision();
  const result = await shadow.reload();
  return {
    policy: shadow.config.name,
    former_revision: former,
    revision: revision(),
    shadow: true,
    result,
    refused: describeRefused(shadow.refused()),
  };
}

/** @param index of the policy: where its revision stands among those of all */
function describeCoverage(
  { config, deciding: { loaded, loadedAtMs } }: Lineage,
  index: number,
  tallied: ReadonlyMap<string, TalliedRevision>,
): CoverageDocument {
  const decisions = { allow: 0, deny: 0, error: 0 };
  const counts = new Map([...loaded.codes].sort().map((code) => [code, 0]));
  let others = 0;
  for (const [revisions, each] of tallied) {
    if (revisions !== loaded.revision && revisions.split(',')[index] !== loaded.revision) continue;
    for (const result of ['allow', 'deny', 'error'] as const) decisions[result] += each.decisions[result];
    others += each.others;
    for (const [code, count] of each.codes) {
      const known = counts.get(code);
      if (known === undefined) others += count;
      else counts.set(code, known + count);
    }
  }
  return {
    name: config.name,
    revision: loaded.revision,
    loaded_at: new Date(loadedAtMs).toISOString(),
    decisions,
    codes: [...counts].map(([code, count]) => ({ code, count })),
    other_reasons: others,
  };
}

function readTime(text: string): number {
  try {
    const ms = parseDuration(text);
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
  }
  throw new RequestError('invalid_member', 'The member "for" must be a duration such as 10m.');
}

function describeLevel({ level, configured, untilMs }: LevelState): LogLevelDocument {
  return { level, configured, until: describeTime(untilMs) };
}

function describeRollout(candidate: Candidate | undefined): PolicyDocument['rollout'] {
  return candidate && { revision: candidate.member.loaded.revision, percent: candidate.percent };
}

function describeTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function describeRefused(change: RefusedChange | undefined): RefusedDocument | undefined {
  if (change === undefined) return undefined;
  const { error } = change;
  const message = error instanceof Error ? error.message : String(error);
  return {
    at: new Date(change.atMs).toISOString(),
    summary: message.split('\n', 1)[0] ?? '',
    faults: error instanceof PolicyError ? error.faults.map(formatFault) : [],
  };
}

function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
