/** Several processes in the place of the one that serves: they are started, told what decides, heard and ended. */
import type { Served } from '../../composition/served.ts';
import type { Prepared } from '../../composition/serving.ts';
import type { Config } from '../../configured/config.ts';
import type { WorkerDocument } from '../../http/admin/contract.ts';
import type { DrainState } from '../../http/drain.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { watchCertificates } from '../../tls/watch.ts';
import { openConnections } from '../../upstream/connections.ts';
import { createVia } from '../../upstream/via.ts';
import type { RecordedSources } from '../sources.ts';
import { createFleet } from './fleet.ts';
import { createHearing, type Hearing } from './hear.ts';
import { createReplicas } from './replicas.ts';
import { createUsage } from './usage.ts';
import type { Remark, WorkerProcess } from './worker-process.ts';

export interface WorkersParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** What the configuration was read from. */
  readonly sources: () => RecordedSources;
  /** Where lines of the workers' logs go. */
  readonly onLog: (text: string) => void;
  readonly isAuditFailing: () => boolean;
  /** The event loop of a worker turns. */
  readonly onTurn: (number: number) => void;
}

/** For all that a worker tells of requests that have ended; then what it said last counts. */
const tellMs = 500;
/** Behind the grace: for what was written, and on a machine that is busy. */
const endMs = 5000;
const auditLookMs = 50;

/** @throws what a worker fails of that can't be started */
export async function prepareWorkers(config: Config, parts: WorkersParts): Promise<Prepared> {
  const { log, metrics } = parts;
  const count = config.workers ?? 1;
  const sources = parts.sources();
  const { pseudonym } = createVia();
  const replicas = createReplicas(() => fleet);
  const usage = createUsage(
    () => fleet.serving(),
    () => fleet.joined(),
  );
  let hearing: Hearing | undefined;
  /** What was told before anybody was served: keys that were asked for, and the log. */
  let early: (readonly [WorkerProcess, Remark])[] = [];
  let drainState: DrainState = 'serving';
  const fleet = createFleet({
    count,
    begin: () => ({
      count,
      sources,
      logLevel: log.level,
      pseudonym,
      drainState,
      auditFails: parts.isAuditFailing(),
    }),
    catchUp(worker) {
      // What it began with may have changed while it began.
      worker.send({ kind: 'drain', state: drainState });
      worker.send({ kind: 'log_level', level: log.level });
      worker.send({ kind: 'audit_fails', fails: parts.isAuditFailing() });
      return replicas.catchUp(worker);
    },
    onRemark(worker, remark) {
      if (hearing === undefined) early.push([worker, remark]);
      else hearing.hear(worker, remark);
    },
    onTurn: parts.onTurn,
    onDeath(worker, { code, signal }, retry_ms) {
      usage.end(worker);
      const lost = hearing?.end(worker);
      const facts = { worker: worker.number, pid: worker.pid, code, signal, retry_ms };
      const in_flight = worker.vitals()?.inFlight;
      log.error({ ...facts, in_flight, recorded_as_lost: lost }, 'a worker has ended and is replaced');
    },
    onStuck: ({ number, pid }, silent_ms) =>
      log.error({ worker: number, pid, silent_ms }, 'the event loop of a worker is stuck: it is ended'),
    onNotStarted: (worker, error) => log.error({ err: error, worker }, 'a worker could not be started'),
    onReplaced: ({ number, pid }) =>
      log.warn({ worker: number, pid }, 'a worker takes the place of one that has ended'),
  });
  await fleet.start();

  return {
    replicas,
    processes: usage,
    abandon() {
      fleet.stop();
      return fleet.kill();
    },
    async serve(options) {
      const heard = createHearing({ ...options, metrics, onLog: parts.onLog });
      hearing = heard;
      for (const [worker, remark] of early) heard.hear(worker, remark);
      early = [];
      const connections = openConnections({ ...config.upstream, timeouts: config.timeouts });
      // The workers tell of their connections; this one is for questions of the primary's own.
      const { tls } = config.upstream;
      const watched =
        tls === undefined ? [] : [{ connection: 'upstream' as const, ...tls, apply: connections.replace }];
      const certificates = watchCertificates(watched, () => {});
      const port = await fleet.serve();
      let auditFails = parts.isAuditFailing();
      const looking = setInterval(() => {
        if (parts.isAuditFailing() === auditFails) return;
        auditFails = !auditFails;
        fleet.broadcast({ kind: 'audit_fails', fails: auditFails });
      }, auditLookMs).unref();

      const served: Served = {
        data: { ...config.listen.data, port },
        upstream: config.upstream.baseUrl.origin,
        connections,
        pseudonym,
        inFlight: usage.inFlight,
        async countInFlight() {
          await tellNow();
          return usage.inFlight();
        },
        notReady: () => describeReadiness(fleet.serving()),
        tellNow,
        expiries: () => fleet.serving()[0]?.vitals()?.expiries ?? [],
        describeIdentity: () => fleet.joined()[0]?.vitals()?.identity ?? { issuers: [], files: [] },
        async look() {
          await certificates.look();
          await Promise.allSettled(fleet.joined().map((worker) => worker.ask('look', undefined, endMs)));
        },
        describeWorkers: () => fleet.joined().map((worker) => describeWorker(worker, fleet.serving().includes(worker))),
        onDrain(state) {
          drainState = state;
          fleet.broadcast({ kind: 'drain', state });
        },
        onLogLevel: (level) => fleet.broadcast({ kind: 'log_level', level }),
        async end(graceMs) {
          fleet.stop();
          certificates.close();
          clearInterval(looking);
          const all = fleet.joined();
          await Promise.allSettled(all.map((worker) => worker.ask('end', graceMs, graceMs + endMs)));
          await fleet.kill();
          // Nothing of those that have ended as they should.
          for (const worker of all) heard.end(worker);
        },
        close: () => connections.close(),
      };
      return served;
    },
  };

  async function tellNow(): Promise<void> {
    await Promise.allSettled(fleet.joined().map((worker) => worker.ask('tell', undefined, tellMs)));
  }
}

/** Ready while one is: connections go to those that take them, and one that was lost is replaced. */
function describeReadiness(serving: readonly WorkerProcess[]): readonly string[] {
  const [first, ...others] = serving.map(
    (worker) => worker.vitals()?.notReady ?? ['a worker has not said yet how it is'],
  );
  if (first === undefined) return ['no worker takes connections'];
  return [first, ...others].some((reasons) => reasons.length === 0) ? [] : first;
}

function describeWorker(worker: WorkerProcess, serving: boolean): WorkerDocument {
  const vitals = worker.vitals();
  return {
    worker: worker.number,
    pid: worker.pid,
    started_at: new Date(worker.startedMs).toISOString(),
    serving,
    in_flight: vitals?.inFlight ?? 0,
    not_ready: vitals?.notReady ?? [],
    resident_bytes: vitals?.residentBytes ?? 0,
  };
}
