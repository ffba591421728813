/** The part of the composition root that speaks with control planes: status and decisions go there (docs/management.md). */
import { randomUUID } from 'node:crypto';

import { createDecisionLog, type DecisionLog, type EventResult } from '../management/decision-log.ts';
import type { ServiceError } from '../management/service.ts';
import type { DecisionLogsStatus, PluginStatus, StatusDocument } from '../management/status-document.ts';
import { createStatusReports } from '../management/status-reports.ts';
import type { ManagementConfig } from '../management-config.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import type { PolicyConfig } from '../types.ts';
import type { PolicyMember } from './active-policy.ts';
import { bundleNameOf, describeBundles } from './describe-bundles.ts';
import type { LivePolicy } from './live-policy.ts';
import { createLogRulesOfEvents } from './log-rules.ts';

export type ManagementApi = 'status' | 'decision_logs' | 'discovery';

export interface LiveManagementOptions {
  readonly policies: readonly PolicyConfig[];
  /** Of the sidecar. */
  readonly version: string;
  readonly policy: () => LivePolicy;
  readonly metrics: Pick<Metrics, 'decisionsLogged' | 'controlPlaneAsked'>;
  readonly log: Logger;
}

export interface LiveManagement {
  readonly observe: DecisionLog['observe'];
  /** The policies are there: from now on it is told of them. */
  started(): void;
  /** A policy that decides from now on. */
  loaded(member: PolicyMember): void;
  /** Something that status tells of may have changed. */
  changed(): void;
  waiting(): number;
  close(): Promise<void>;
}

export function startLiveManagement(config: ManagementConfig, options: LiveManagementOptions): LiveManagement {
  const { policies, metrics, log } = options;
  // As OPA has them; who sets them is believed.
  const labels = { id: randomUUID(), version: options.version, ...config.labels };
  const context = {
    labels,
    policies: policies.map((policy) => ({ bundle: bundleNameOf(policy), entrypoint: policy.entrypoint })),
  };
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
      const former = logStatus?.message;
      logStatus = describeUpload(error);
      if (former !== logStatus.message) reports.changed();
      tell('decision_logs', error);
    },
    onMaskError(error, decisionId) {
      if (masks.admits('mask'))
        log.error({ err: error, decision_id: decisionId }, 'a decision could not be masked and is not logged');
    },
  });
  const reports = createStatusReports({ document: describe, onReport: (error) => tell('status', error) });
  decisions.configure(config.decisionLogs);

  return {
    observe: decisions.observe,
    started: () => reports.configure(config.status),
    loaded(member) {
      rules.take(member);
      reports.changed();
    },
    changed: reports.changed,
    waiting: decisions.waiting,
    async close() {
      await decisions.close();
      await reports.close();
      masks.close();
    },
  };

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
    return {
      labels,
      bundles: describeBundles(live),
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
