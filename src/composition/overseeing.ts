/** What there is one of, whoever serves: health, readiness and metrics, the admin listener, and what these are told by. */
import type { Server } from 'node:http';

import { createAdministration } from '../administration.ts';
import { createAskAudit } from '../audit/file/ask.ts';
import type { Recent } from '../audit/recent.ts';
import type { Tally } from '../audit/tally.ts';
import type { Address, Config } from '../configured/config.ts';
import { describeShadow, describeState } from '../delivery/describe-state.ts';
import { createExplain } from '../explain-past.ts';
import { createAdminListener } from '../http/admin/admin-listener.ts';
import { createServerClose } from '../http/close-server.ts';
import type { Drain } from '../http/drain.ts';
import { startOpsListener } from '../http/ops/ops-listener.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { createSupport } from '../support.ts';
import type { Logger } from '../telemetry/log.ts';
import { createLogLevel } from '../telemetry/log-level.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { tellOfAdmin } from '../telling/admin.ts';
import type { AdminEvent } from '../types.ts';
import type { Deciding } from './deciding.ts';
import { listen } from './listen.ts';
import type { Served } from './served.ts';

export interface OverseeingParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly deciding: Deciding;
  readonly served: Served;
  readonly drain: Drain;
  /** Undefined where there are no operators. */
  readonly kept: { readonly recent: Recent; readonly tally: Tally } | undefined;
  /** Why the sidecar is not ready, in words; empty where it is. */
  readonly notReady: () => readonly string[];
  /** Where it is said what operators changed, beside the log. */
  readonly onAdmin: ((event: AdminEvent) => void) | undefined;
  /** The latest lines of the log. */
  readonly recentLines: () => readonly string[];
  readonly searchPath: string | undefined;
  /** As of `startOpsListener`. */
  readonly workersTurned: BigInt64Array | undefined;
}

export interface Overseeing {
  readonly ops: Address;
  /** Undefined where no token is configured. */
  readonly admin: Address | undefined;
  /** The listeners answer what they were asked, at most so long. */
  end(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** @throws the errors of binding a socket */
export async function startOverseeing(config: Config, parts: OverseeingParts): Promise<Overseeing> {
  const { log, metrics, served, notReady } = parts;
  const { policy, shadow, management } = parts.deciding;
  const logLevel = createLogLevel(log, served.onLogLevel);
  const explainers = createToolchain({ path: parts.searchPath, inBackground: true });
  const adminTelling = tellOfAdmin(log, metrics, parts.onAdmin);
  const bound: Record<string, Address> = { data: served.data };
  const adminServer = parts.kept && createAdmin(parts.kept);
  const closeAdmin = adminServer && createServerClose(adminServer);
  const admin = adminServer && (await listen(adminServer, config.listen.admin));
  if (admin !== undefined) bound['admin'] = admin;
  const opsListener = await startOpsListener({
    address: config.listen.ops,
    workersTurned: parts.workersTurned,
    async metrics(accept) {
      await served.tellNow();
      return metrics.expose(accept);
    },
    notReady,
    details: () => [
      ...(management?.describe() ?? []),
      ...describeState(policy),
      ...(shadow ? describeShadow(shadow) : []),
    ],
    onError: (error: unknown) => log.error({ err: error }, 'the ops listener failed'),
  }).catch((error: unknown) => {
    adminServer?.close();
    throw error;
  });
  const ops = opsListener.address;
  bound['ops'] = ops;
  for (const [listener, { host, port }] of Object.entries(bound))
    log.info({ listener, address: host, port }, 'listening');

  return {
    ops,
    admin,
    async end(graceMs) {
      logLevel.close();
      await Promise.all([opsListener.close(graceMs), closeAdmin?.(graceMs)]);
      adminTelling.close();
    },
    close: () => explainers.close(),
  };

  function createAdmin({ recent, tally }: NonNullable<OverseeingParts['kept']>): Server {
    return createAdminListener({
      tokens: config.admin.tokens,
      pseudonym: served.pseudonym,
      administration: createAdministration({
        policy,
        shadow,
        inFlight: served.inFlight,
        async drain() {
          const { drained, inFlight, waitedMs } = await parts.drain.leaveForNow();
          return { drained, in_flight: inFlight, waited_ms: waitedMs };
        },
        notReady,
        upstream: served.upstream,
        workers: served.describeWorkers,
        listeners: () => bound,
        async tallied() {
          await served.tellNow();
          return tally.revisions();
        },
        logLevel,
        identity: served.describeIdentity,
        audit: config.audit.file && createAskAudit(config.audit.file.path),
        support: createSupport({
          config,
          metrics: async () => (await metrics.expose(undefined)).text,
          readiness: () => [...notReady(), ...describeState(policy)],
          lines: parts.recentLines,
        }),
        explain: createExplain({
          async find(decisionId) {
            await served.tellNow();
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
  }
}
