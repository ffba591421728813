/** The composition root: what is built from a configuration, how it starts and how it closes. Only this file constructs. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdministration } from './administration.ts';
import { createBatch } from './audit/batch.ts';
import { createAskAudit } from './audit/file/ask.ts';
import { createRecent } from './audit/recent.ts';
import { createRecorder, type RecorderOptions, type RecordObserver } from './audit/record.ts';
import { createTally } from './audit/tally.ts';
import { readClients } from './config/clients-file.ts';
import { readKeyAnew } from './config/keys.ts';
import { readSigningKeyAnew } from './config/token-endpoint.ts';
import { describeShadow, describeState } from './delivery/describe-state.ts';
import { startLiveManagement } from './delivery/live-management.ts';
import { startLivePolicy } from './delivery/live-policy.ts';
import { startLiveShadow } from './delivery/live-shadow.ts';
import { createExplain } from './explain-past.ts';
import { createAdminListener } from './http/admin/admin-listener.ts';
import { createServerClose } from './http/close-server.ts';
import { createDataListener, type DataListener } from './http/data-listener.ts';
import { createDrain, type DrainReport } from './http/drain.ts';
import { type OpsListener, startOpsListener } from './http/ops/ops-listener.ts';
import { createPipeline } from './http/pipeline.ts';
import { createSocketFaults } from './http/socket-faults.ts';
import { createCertify } from './identity/client-certificate.ts';
import { startLiveIdentity } from './identity/live-identity.ts';
import { createBodyBudget } from './input/body.ts';
import { resolveModelName, shortName } from './input/model-name.ts';
import { withoutContent } from './input/without-content.ts';
import { createToolchain } from './policy/toolchain/toolchain.ts';
import { createSupport } from './support.ts';
import type { Logger } from './telemetry/log.ts';
import { createLogLevel } from './telemetry/log-level.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { createTrails } from './telemetry/trail.ts';
import { tellOfAdmin } from './telling/admin.ts';
import { tellOfConnections } from './telling/connections.ts';
import { tellOfIdentity } from './telling/identity.ts';
import { tellOfPolicies } from './telling/policies.ts';
import { tellOfShadow } from './telling/shadow.ts';
import { createTellable } from './telling/user-code.ts';
import { type WatchedTls, watchCertificates } from './tls/watch.ts';
import type { Address, AdminEvent, Config, ShadowEvent } from './types.ts';
import { createUpstreamAgent, type UpstreamAgent } from './upstream/agent.ts';
import { watchUpstream } from './upstream/health.ts';
import { createModelList } from './upstream/model-list.ts';
import { createUpstream } from './upstream/proxy.ts';
import { createVia } from './upstream/via.ts';
import { readVersion } from './version.ts';

export interface AppOptions {
  readonly log: Logger;
  /** Where audit events go. */
  readonly observers: readonly RecordObserver[];
  /** Where it is said what a shadow would have decided otherwise. */
  readonly onShadow?: (event: ShadowEvent) => void;
  /** Where it is said what operators changed, beside the log. */
  readonly onAdmin?: (event: AdminEvent) => void;
  /** Told of each request before it is handed to the upstream; as `AuditSink.admit`. */
  readonly admit?: RecorderOptions['admit'];
  /** Whether the audit file can't be written at the moment. */
  readonly isAuditFailing?: () => boolean;
  /** Why requests can't be recorded at the moment, in words; empty where they can. */
  readonly recordNotReady?: () => readonly string[];
  /** The latest lines of the log, for a support bundle; none by default. */
  readonly recentLines?: () => readonly string[];
  /** PATH, where an `opa` is looked for if the tool chain's module was not built. */
  readonly searchPath: string | undefined;
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

/** @throws PolicyError, and the errors of binding a socket */
export async function startApp(config: Config, options: AppOptions): Promise<App> {
  const { log } = options;
  const logLevel = createLogLevel(log);
  const tellable = createTellable(config);
  const agent = createUpstreamAgent(config.upstream.baseUrl, config.upstream.tls);
  const models = createModelList({
    baseUrl: config.upstream.baseUrl,
    agent,
    canonicalize: (name) => shortName(resolveModelName(name)),
  });
  const metrics = createMetrics({
    version: readVersion(),
    isListedModel: models.has,
    revision: () => policy.active().revision,
    rollouts: () =>
      policy.lineages().flatMap(({ config, candidate }) => {
        const { member, percent = 0 } = candidate ?? {};
        return member === undefined ? [] : [{ policy: config.name, revision: member.loaded.revision, percent }];
      }),
    policyOrigin: () => (policy.active().members.some(({ origin }) => origin === 'kept') ? 'kept' : 'configured'),
    inFlight: () => pipeline.inFlight(),
    isAuditFailing: options.isAuditFailing ?? (() => false),
    decisionsWaiting: () => management?.waiting() ?? 0,
    ready: () => notReady().length === 0,
    issuers: config.identity.issuers.map(({ issuer }) => issuer),
    certificateExpiries: () => certificates.expiries(),
  });
  const identityTelling = tellOfIdentity(log, metrics);
  // Before the policy: a file that is at fault ends the start while nothing has to be closed again.
  const identity = await startLiveIdentity(config.identity, {
    readKey: readKeyAnew,
    readSigningKey: readSigningKeyAnew,
    readClients,
    ...identityTelling,
  });
  const policyTelling = tellOfPolicies(log, metrics, tellable);
  const management =
    config.management &&
    (await startLiveManagement(config.management, {
      policies: config.policies,
      version: readVersion(),
      searchPath: options.searchPath,
      policy: () => policy,
      metrics,
      log,
    }));
  const policy = await startLivePolicy(config, {
    searchPath: options.searchPath,
    logRules: management?.logsDecisions,
    ...(management && { bundles: management.bundles }),
    ...policyTelling,
    onLoaded(member, percent) {
      management?.loaded(member);
      policyTelling.onLoaded(member, percent);
    },
    onRefused(change, deciding) {
      management?.changed();
      policyTelling.onRefused(change, deciding);
    },
  });
  management?.started();
  const onEvent = options.onShadow;
  const shadowTelling = config.shadow && tellOfShadow(config.shadow, { log, metrics, tellable, onEvent });
  const shadow =
    config.shadow &&
    shadowTelling &&
    startLiveShadow(config.shadow, { searchPath: options.searchPath, ...shadowTelling });
  // Kept for operators alone.
  const hasAdmin = config.admin.tokens.length > 0;
  const recent = createRecent(config.admin.keepDecisions);
  const tally = createTally();
  const explainers = createToolchain({ path: options.searchPath, inBackground: true });
  const batch = createBatch({
    delayMs: 20,
    most: 1000,
    onError(error) {
      metrics.auditFailed('record');
      log.error({ err: error }, 'an audit event could not be made');
    },
  });
  const record = createRecorder({
    later: batch.add,
    observers: [
      ...options.observers,
      metrics.observe,
      ...(management ? [management.observe] : []),
      ...(hasAdmin ? [recent.observe, tally.observe] : []),
    ],
    withoutContent,
    admit: options.admit,
  });
  const upstream = createUpstream({
    baseUrl: config.upstream.baseUrl,
    agent,
    timeouts: config.timeouts,
    onTlsError: (error, request_id) =>
      log.error(
        { err: error, request_id, upstream: config.upstream.baseUrl.origin },
        'the upstream could not be reached securely',
      ),
  });
  const drain = createDrain({
    delayMs: config.shutdown.delay,
    graceMs: config.shutdown.grace,
    holdMs: 30_000,
    inFlight: () => pipeline.inFlight(),
    onChange: (state) => log.info({ state, in_flight: pipeline.inFlight() }, 'drain'),
  });
  const health =
    config.upstream.readiness === 'required'
      ? watchUpstream({ baseUrl: config.upstream.baseUrl, agent, everyMs: config.upstream.checkEvery })
      : undefined;
  const faults = createSocketFaults();
  const via = createVia();
  const pipeline = createPipeline({
    config,
    certify: config.listen.tls?.clientAuth && createCertify(config.identity.clientCertificates, identity.revocations),
    identify: identity.identify,
    tokens: identity.tokens,
    policy: policy.deciding,
    shadow,
    upstream,
    via,
    bodies: createBodyBudget(config.limits.bodiesTotal),
    record,
    trails: createTrails(log),
    extraHeaders: options.extraHeaders ?? {},
    faults,
    drainState: drain.state,
    onInternalError: (error, requestId) =>
      log.error({ err: error, request_id: requestId }, 'a request failed inside the sidecar'),
  });

  let closing = false;
  const connectionTelling = tellOfConnections(log, metrics);
  const dataListener = createDataListener({
    config,
    pipeline,
    record,
    faults,
    onHandshakeFailure: connectionTelling.onHandshakeFailure,
  });
  const notReady = (): readonly string[] => [
    ...policy.active().notReady(),
    ...identity.notReady(),
    ...(options.recordNotReady?.() ?? []),
    ...[health?.fault() ?? []].flat(),
    ...(closing || drain.state() !== 'serving' ? ['shutting down'] : []),
  ];
  const certificates = watchCertificates(
    securedConnections(config, dataListener, agent),
    connectionTelling.onCertificates,
  );
  const bound: Record<string, Address> = {};
  const adminTelling = tellOfAdmin(log, metrics, options.onAdmin);
  const adminServer = !hasAdmin
    ? undefined
    : createAdminListener({
        tokens: config.admin.tokens,
        pseudonym: via.pseudonym,
        administration: createAdministration({
          policy,
          shadow,
          inFlight: pipeline.inFlight,
          async drain() {
            const { drained, inFlight, waitedMs } = await drain.leaveForNow();
            return { drained, in_flight: inFlight, waited_ms: waitedMs };
          },
          notReady,
          upstream: upstream.id,
          listeners: () => bound,
          tallied() {
            batch.drain();
            return tally.revisions();
          },
          logLevel,
          identity: identity.describe,
          audit: config.audit.file && createAskAudit(config.audit.file.path),
          support: createSupport({
            config,
            metrics: async () => (await metrics.expose(undefined)).text,
            readiness: () => [...notReady(), ...describeState(policy)],
            lines: options.recentLines ?? (() => []),
          }),
          explain: createExplain({
            find(decisionId) {
              batch.drain();
              return recent.find(decisionId);
            },
            lineages: policy.lineages,
            toolchain: explainers,
          }),
        }),
        onAnswered: adminTelling.onAnswered,
        onInternalError: (error, request_id) =>
          log.error({ err: error, request_id }, 'a request to the admin listener failed'),
      });
  const closeAdmin = adminServer && createServerClose(adminServer);
  const closeData = createServerClose(dataListener.server);
  const servers: Server[] = [];
  const bind = async (listener: string, server: Server, wanted: Address): Promise<Address> => {
    const address = await listen(server, wanted);
    servers.push(server);
    bound[listener] = address;
    return address;
  };
  const opsOptions = {
    address: config.listen.ops,
    metrics(accept: string | undefined) {
      batch.drain();
      return metrics.expose(accept);
    },
    notReady,
    details: () => [
      ...(management?.describe() ?? []),
      ...describeState(policy),
      ...(shadow ? describeShadow(shadow) : []),
    ],
    onError: (error: unknown) => log.error({ err: error }, 'the ops listener failed'),
  };
  let [data, admin]: [Address, Address | undefined] = [config.listen.data, undefined];
  let opsListener: OpsListener;
  try {
    data = await bind('data', dataListener.server, config.listen.data);
    admin = adminServer && (await bind('admin', adminServer, config.listen.admin));
    opsListener = await startOpsListener(opsOptions);
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const ops = opsListener.address;
  bound['ops'] = ops;
  for (const [listener, { host, port }] of Object.entries(bound))
    log.info({ listener, address: host, port }, 'listening');
  void models.refresh();

  return {
    data,
    ops,
    admin,
    auditFailed: metrics.auditFailed,
    auditUnrecorded: metrics.auditUnrecorded,
    tellNow: batch.drain,
    async reload() {
      await management?.look();
      await Promise.all([policy.look(), shadow?.look(), certificates.look(), identity.look()]);
    },
    leave(leaving) {
      drain.stay();
      return drain.leave(leaving);
    },
    async close(graceMs = 10_000) {
      closing = true;
      logLevel.close();
      certificates.close();
      health?.close();
      await closeData(graceMs);
      identity.close();
      // A request that was cut has its end, and so its event, a turn or two later.
      for (let turn = 0; turn < 100 && pipeline.inFlight() > 0; turn += 1) await sleep(10);
      // These answer to the end: the last counts can still be read, and whoever waits for the drain hears of it.
      await Promise.all([opsListener.close(graceMs), closeAdmin?.(graceMs)]);
      connectionTelling.close();
      adminTelling.close();
      identityTelling.close();
      batch.drain();
      await management?.close();
      upstream.close();
      await shadow?.close();
      shadowTelling?.close();
      await explainers.close();
      await policy.close();
      policyTelling.close();
    },
  };
}

/** What is made with certificates of files, and how each takes new ones. */
function securedConnections(config: Config, { replace }: DataListener, agent: UpstreamAgent): readonly WatchedTls[] {
  const secured: WatchedTls[] = [];
  const { tls } = config.listen;
  if (tls !== undefined && replace !== undefined)
    secured.push({ connection: 'listener', files: tls.files, material: tls.material, apply: replace });
  const upstream = config.upstream.tls;
  if (upstream !== undefined) {
    secured.push({
      connection: 'upstream',
      files: upstream.files,
      material: upstream.material,
      apply: agent.replace,
    });
  }
  return secured;
}

async function listen(server: Server, address: Address): Promise<Address> {
  server.listen(address.port, address.host);
  await once(server, 'listening');
  const bound: AddressInfo | string | null = server.address();
  return { host: address.host, port: typeof bound === 'object' && bound !== null ? bound.port : address.port };
}
