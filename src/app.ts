/** The composition root: what is built from a configuration, how it starts and how it closes. Only it constructs. */
import { createRecent } from './audit/recent.ts';
import type { RecordObserver } from './audit/record.ts';
import type { Admit, Recorded } from './audit/sink.ts';
import { createTally } from './audit/tally.ts';
import { describeRollouts, startDeciding } from './composition/deciding.ts';
import { startOverseeing } from './composition/overseeing.ts';
import type { WorkersOptions } from './composition/prepare.ts';
import { createTurns, prepare } from './composition/prepare.ts';
import type { Address, Config } from './configured/config.ts';
import { createDrain, type DrainReport } from './http/drain.ts';
import { resolveModelName, shortName } from './input/model-name.ts';
import type { Logger } from './telemetry/log.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import type { AdminEvent, ShadowEvent } from './types.ts';
import { watchUpstream } from './upstream/health.ts';
import { createModelList } from './upstream/model-list.ts';
import { readVersion } from './version.ts';

export interface AppOptions {
  readonly log: Logger;
  /** Where records go; nowhere by default. */
  readonly record?: (recorded: Recorded) => void;
  /** Who else is told of each request that has ended. */
  readonly observers?: readonly RecordObserver[];
  /** Where it is said what a shadow would have decided otherwise. */
  readonly onShadow?: (event: ShadowEvent) => void;
  /** Where it is said what operators changed, beside the log. */
  readonly onAdmin?: (event: AdminEvent) => void;
  /** Undefined where nobody wants to be told before a request goes on. */
  readonly admit?: Admit | undefined;
  /** Whether the audit file can't be written at the moment. */
  readonly isAuditFailing?: () => boolean;
  /** Why requests can't be recorded at the moment, in words; empty where they can. */
  readonly recordNotReady?: () => readonly string[];
  /** The latest lines of the log, for a support bundle; none by default. */
  readonly recentLines?: () => readonly string[];
  /** PATH, where an `opa` is looked for if the tool chain's module was not built. */
  readonly searchPath: string | undefined;
  /** What several workers need: several are refused without it. */
  readonly workers?: WorkersOptions | undefined;
  /** Added to every answer. */
  readonly extraHeaders?: Readonly<Record<string, string>>;
}

export interface App {
  /** What was bound, ports filled in. */
  readonly data: Address;
  readonly ops: Address;
  /** Undefined where no token is configured. */
  readonly admin: Address | undefined;
  /** Audit events could not be written; by the name of the sink. */
  readonly auditFailed: Metrics['auditFailed'];
  /** A request went on although the audit file could not take its line. */
  readonly auditUnrecorded: Metrics['auditUnrecorded'];
  /** Tells of the requests that have ended and were not told of yet. */
  tellNow(): void;
  /** Looks now whether policies or the files of certificates have changed. Never rejects. */
  reload(): Promise<void>;
  /** Is not ready from now on; takes requests for the configured delay, or `delayMs`, and waits for those in flight. */
  leave(options?: { readonly delayMs?: number }): Promise<DrainReport>;
  /** Takes no more requests, waits for those in flight up to `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/** @throws PolicyError, ConfigError, and the errors of binding a socket */
export async function startApp(config: Config, options: AppOptions): Promise<App> {
  const { log, searchPath } = options;
  const metrics = createMetrics({
    version: readVersion(),
    isListedModel: (model) => models.has(model),
    revision: () => deciding.policy.active().revision,
    rollouts: () => describeRollouts(deciding.policy),
    policyOrigin: () =>
      deciding.policy.active().members.some(({ origin }) => origin === 'kept') ? 'kept' : 'configured',
    inFlight: () => served.inFlight(),
    isAuditFailing: options.isAuditFailing ?? (() => false),
    decisionsWaiting: () => deciding.management?.waiting() ?? 0,
    ready: () => notReady().length === 0,
    issuers: config.identity.issuers.map(({ issuer }) => issuer),
    certificateExpiries: () => served.expiries(),
    workers: () => prepared.processes,
  });
  const workersTurned = createTurns(config);
  // Before what decides: a file that is at fault ends the start while nothing has to be closed again.
  const prepared = await prepare(config, options, { log, metrics, workersTurned });
  const abandon = async (error: unknown): Promise<never> => {
    await prepared.abandon?.();
    throw error;
  };
  const { replicas } = prepared;
  const deciding = await startDeciding(config, {
    log,
    metrics,
    searchPath,
    onShadow: options.onShadow,
    replicas,
  }).catch(abandon);
  const { policy, shadow, management } = deciding;
  // Kept for operators alone.
  const hasAdmin = config.admin.tokens.length > 0;
  const kept = hasAdmin ? { recent: createRecent(config.admin.keepDecisions), tally: createTally() } : undefined;
  const drain = createDrain({
    delayMs: config.shutdown.delay,
    graceMs: config.shutdown.grace,
    holdMs: 30_000,
    inFlight: () => served.countInFlight(),
    onChange(state) {
      served.onDrain?.(state);
      log.info({ state, in_flight: served.inFlight() }, 'drain');
    },
  });
  const served = await prepared
    .serve({
      policy: policy.deciding,
      shadow,
      onShadow: shadow,
      record: options.record,
      observers: [
        ...(options.observers ?? []),
        metrics.observe,
        ...(management ? [management.observe] : []),
        ...(kept ? [kept.recent.observe, kept.tally.observe] : []),
      ],
      admit: options.admit,
      drainState: drain.state,
    })
    .catch(abandon);
  const { connections } = served;
  const models = createModelList({
    baseUrl: config.upstream.baseUrl,
    connections,
    canonicalize: (name) => shortName(resolveModelName(name)),
  });
  const health =
    config.upstream.readiness === 'required'
      ? watchUpstream({ baseUrl: config.upstream.baseUrl, connections, everyMs: config.upstream.checkEvery })
      : undefined;
  let closing = false;
  const notReady = (): readonly string[] => [
    ...policy.active().notReady(),
    ...served.notReady(),
    ...(options.recordNotReady?.() ?? []),
    ...[health?.fault() ?? []].flat(),
    ...(closing || drain.state() !== 'serving' ? ['shutting down'] : []),
  ];
  const overseeing = await startOverseeing(config, {
    log,
    metrics,
    deciding,
    served,
    drain,
    kept,
    notReady,
    onAdmin: options.onAdmin,
    recentLines: options.recentLines ?? (() => []),
    searchPath,
    workersTurned,
  }).catch(async (error: unknown) => {
    await served.end(0);
    throw error;
  });
  void models.refresh();

  return {
    data: served.data,
    ops: overseeing.ops,
    admin: overseeing.admin,
    auditFailed: metrics.auditFailed,
    auditUnrecorded: metrics.auditUnrecorded,
    tellNow: () => void served.tellNow(),
    async reload() {
      await management?.look();
      await Promise.all([policy.look(), shadow?.look(), served.look()]);
    },
    leave(leaving) {
      drain.stay();
      return drain.leave(leaving);
    },
    async close(graceMs = 10_000) {
      closing = true;
      health?.close();
      await served.end(graceMs);
      // These answer to the end: the last counts can still be read, and whoever waits for the drain hears of it.
      await overseeing.end(graceMs);
      await management?.close();
      served.close();
      await overseeing.close();
      await deciding.close();
    },
  };
}
