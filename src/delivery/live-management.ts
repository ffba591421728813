/** The part of the composition root that speaks with control planes: status and decisions go there (docs/management.md). */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { ManagementConfig } from '../configured/management.ts';
import type { BundleConfig, PolicyConfig } from '../configured/policy.ts';
import type { EventContext } from '../management/decision-event.ts';
import { createDecisionLog, type DecisionLog, type EventResult } from '../management/decision-log.ts';
import type { ServiceError } from '../management/service.ts';
import type { DecisionLogsStatus, PluginStatus, StatusDocument } from '../management/status-document.ts';
import { createStatusReports } from '../management/status-reports.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import type { PolicyMember } from './active-policy.ts';
import { bundleNameOf, describeBundles } from './describe-bundles.ts';
import { startLiveDiscovery } from './live-discovery.ts';
import type { LivePolicy } from './live-policy.ts';
import { createLogRulesOfEvents } from './log-rules.ts';

export type ManagementApi = 'status' | 'decision_logs';

export interface LiveManagementOptions {
  readonly policies: readonly PolicyConfig[];
  /** Of the sidecar. */
  readonly version: string;
  readonly searchPath: string | undefined;
  readonly policy: () => LivePolicy;
  readonly metrics: Pick<Metrics, 'decisionsLogged' | 'controlPlaneAsked'>;
  readonly log: Logger;
}

export interface LiveManagement {
  readonly observe: DecisionLog['observe'];
  /** Decisions are logged, or may come to be. */
  readonly logsDecisions: boolean;
  /** Where bundles are, by their names, at the start. */
  readonly bundles: ReadonlyMap<string, BundleConfig>;
  /** What was discovered, for people. */
  describe(): readonly string[];
  /** Asks now for what there is to be discovered. */
  look(): Promise<void>;
  /** The policies are there: from now on it is told of them. */
  started(): void;
  /** A policy that decides from now on. */
  loaded(member: PolicyMember): void;
  /** Something that status tells of may have changed. */
  changed(): void;
  waiting(): number;
  close(): Promise<void>;
}

/** Asks for a discovered configuration, where there is one, before it returns. Never rejects. */
export async function startLiveManagement(
  boot: ManagementConfig,
  options: LiveManagementOptions,
): Promise<LiveManagement> {
  const { policies, metrics, log } = options;
  const id = randomUUID();
  let config = boot;
  let context = createContext();
  const rules = createLogRulesOfEvents(policies);
  const counts: Partial<Record<EventResult, number>> = {};
  const failing = new Set<ManagementApi>();
  const masks = createSparse({
    most: 10,
    perMs: 60_000,
    onLeftOut: (_, left_out) => log.error({ left_out }, 'more decisions could not be masked and are not logged'),
  });
  let logStatus: DecisionLogsStatus | undefined;

  const decisions = createDecisionLog({
    context: () => context,
    rules: rules.find,
    onEvents(result, count) {
      counts[result] = (counts[result] ?? 0) + count;
      metrics.decisionsLogged(result, count);
    },
    onUpload(error) {
      const former = logStatus;
      logStatus = describeUpload(error);
      if (former === undefined || former.message !== logStatus.message) reports.changed();
      tell('decision_logs', error);
    },
    onMaskError(error, decisionId) {
      if (masks.admits('mask'))
        log.error({ err: error, decision_id: decisionId }, 'a decision could not be masked and is not logged');
    },
  });
  const reports = createStatusReports({ document: describe, onReport: (error) => tell('status', error) });
  const discovery =
    boot.discovery &&
    (await startLiveDiscovery(boot.discovery, {
      boot,
      policies,
      searchPath: options.searchPath,
      onChanged: change,
      onResult(error, revision, overridden) {
        metrics.controlPlaneAsked('discovery', error === undefined ? 'success' : 'failure');
        if (error === undefined) log.info({ revision, overridden }, 'a discovered configuration counts');
        else log.error({ err: error }, 'there is no new discovered configuration, the former one goes on counting');
        reports.changed();
      },
    }));
  config = discovery?.first ?? boot;
  context = createContext();
  decisions.configure(config.decisionLogs);

  return {
    observe: decisions.observe,
    logsDecisions: boot.decisionLogs !== undefined || boot.discovery !== undefined,
    bundles: bundlesByName(),
    started() {
      reports.configure(config.status);
      discovery?.follow();
    },
    describe: () => discovery?.describe() ?? [],
    async look() {
      await discovery?.look();
    },
    loaded(member) {
      rules.take(member);
      reports.changed();
    },
    changed: reports.changed,
    waiting: decisions.waiting,
    async close() {
      await discovery?.close();
      await decisions.close();
      await reports.close();
      masks.close();
    },
  };

  function createContext(): EventContext {
    return {
      // As OPA has them; who sets them is believed.
      labels: { id, version: options.version, ...config.labels },
      policies: policies.map((policy) => ({ bundle: bundleNameOf(policy), entrypoint: policy.entrypoint })),
    };
  }

  function bundlesByName(): ReadonlyMap<string, BundleConfig> {
    return new Map(config.bundles.map(({ name, bundle }) => [name, bundle]));
  }

  async function change(next: ManagementConfig): Promise<void> {
    const former = config;
    const formerBundles = bundlesByName();
    config = next;
    context = createContext();
    if (!isDeepStrictEqual(former.decisionLogs, next.decisionLogs)) decisions.configure(next.decisionLogs);
    if (!isDeepStrictEqual(former.status, next.status)) reports.configure(next.status);
    const changed = next.bundles.filter(({ name, bundle }) => !isDeepStrictEqual(formerBundles.get(name), bundle));
    await Promise.all(changed.map(({ name, bundle }) => options.policy().retarget(name, bundle)));
  }

  function tell(api: ManagementApi, error: ServiceError | undefined): void {
    metrics.controlPlaneAsked(api, error === undefined ? 'success' : 'failure');
    // The first of a row, and its end.
    if (error === undefined && failing.delete(api)) log.info({ api }, 'the control plane can be reached again');
    if (error === undefined || failing.has(api)) return;
    failing.add(api);
    log.warn({ api, err: error }, 'the control plane did not take what it was sent');
  }

  function describe(): StatusDocument {
    const live = options.policy();
    const notReady = live.active().notReady();
    const plugins: Record<string, PluginStatus> = {
      bundle: notReady.length === 0 ? { state: 'OK' } : { state: 'NOT_READY', message: notReady.join('; ') },
      status: { state: 'OK' },
    };
    if (config.decisionLogs !== undefined) plugins['decision_logs'] = { state: 'OK' };
    if (discovery !== undefined) plugins['discovery'] = { state: discovery.isReady() ? 'OK' : 'NOT_READY' };
    return {
      labels: context.labels,
      bundles: describeBundles(live),
      discovery: discovery?.status(),
      decision_logs: logStatus,
      metrics: { decision_logs: counts },
      plugins,
    };
  }
}

function describeUpload(error: ServiceError | undefined): DecisionLogsStatus {
  if (error === undefined) return {};
  return { code: 'decision_log_error', message: error.message, http_code: error.status };
}
