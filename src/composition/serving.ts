/** What a process constructs that serves requests: from the socket to the record. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createBatch } from '../audit/batch.ts';
import { createRecorder, type RecordObserver } from '../audit/record.ts';
import type { Admit, Recorded } from '../audit/sink.ts';
import { readClients } from '../config/clients-file.ts';
import { readKeyAnew } from '../config/keys.ts';
import { readSigningKeyAnew } from '../config/token-endpoint.ts';
import type { Config } from '../configured/config.ts';
import type { LiveShadow } from '../delivery/live-shadow.ts';
import type { Replicas } from '../delivery/replicas.ts';
import { createServerClose } from '../http/close-server.ts';
import { createDataListener, type DataListener } from '../http/data-listener.ts';
import type { DrainState } from '../http/drain.ts';
import { createPipeline, type PipelineParts } from '../http/pipeline.ts';
import { createSocketFaults } from '../http/socket-faults.ts';
import { createCertify } from '../identity/client-certificate.ts';
import { type LiveIdentity, startLiveIdentity } from '../identity/live-identity.ts';
import { createBodyBudget } from '../input/body.ts';
import { withoutContent } from '../input/without-content.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { OtherProcesses } from '../telemetry/process-metrics.ts';
import { createTrails } from '../telemetry/trail.ts';
import { tellOfConnections } from '../telling/connections.ts';
import { tellOfIdentity } from '../telling/identity.ts';
import { type WatchedTls, watchCertificates } from '../tls/watch.ts';
import { type Connections, openConnections } from '../upstream/connections.ts';
import { createUpstream } from '../upstream/proxy.ts';
import { createVia } from '../upstream/via.ts';
import { listen } from './listen.ts';
import type { Served } from './served.ts';

export interface ServingParts {
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'auditFailed' | 'handshakeFailed' | 'tlsReloaded' | 'identityReloaded'>;
  /** Added to every answer. */
  readonly extraHeaders: Readonly<Record<string, string>>;
  /** As of `createVia`. */
  readonly pseudonym?: string;
}

/** What is there once it is known what decides. */
export interface ServingOptions {
  readonly policy: PipelineParts['policy'];
  readonly shadow: PipelineParts['shadow'];
  /** Told what a shadow in another process found. */
  readonly onShadow?: Pick<LiveShadow, 'onResult' | 'onDisagreement'> | undefined;
  readonly observers: readonly RecordObserver[];
  /** Where records go; undefined where an observer sends them on. */
  readonly record?: ((recorded: Recorded) => void) | undefined;
  readonly admit: Admit | undefined;
  readonly drainState: () => DrainState;
  /** Looks for certificates that have changed before anybody connects. */
  readonly looksFirst?: boolean;
}

/** Callers are known, nobody is answered yet. */
export interface Prepared {
  /** @throws the errors of binding a socket */
  serve(options: ServingOptions): Promise<Served>;
  /** Those who decide and serve, where that is not this process. */
  readonly replicas?: Replicas;
  readonly processes?: OtherProcesses;
  /** For a start that fails: ends them. */
  abandon?(): Promise<void>;
}

/** @throws ConfigError for a file that can't be used: to be called while nothing has to be closed again */
export async function prepareServing(config: Config, parts: ServingParts): Promise<Prepared> {
  const telling = tellOfIdentity(parts.log, parts.metrics);
  const identity = await startLiveIdentity(config.identity, {
    readKey: readKeyAnew,
    readSigningKey: readSigningKeyAnew,
    readClients,
    ...telling,
  });
  const close = (): void => {
    identity.close();
    telling.close();
  };
  return { serve: (options) => serve(config, { ...parts, identity, closeIdentity: close }, options) };
}

interface IdentifiedParts extends ServingParts {
  readonly identity: LiveIdentity;
  readonly closeIdentity: () => void;
}

async function serve(config: Config, parts: IdentifiedParts, options: ServingOptions): Promise<Served> {
  const { log, metrics, identity } = parts;
  const connections = openConnections({ ...config.upstream, timeouts: config.timeouts });
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
    record: options.record,
    observers: options.observers,
    withoutContent,
    admit: options.admit,
  });
  const upstream = createUpstream({
    baseUrl: config.upstream.baseUrl,
    connections,
    onTlsError: (error, request_id) =>
      log.error(
        { err: error, request_id, upstream: config.upstream.baseUrl.origin },
        'the upstream could not be reached securely',
      ),
  });
  const faults = createSocketFaults();
  const via = createVia(parts.pseudonym);
  const pipeline = createPipeline({
    config,
    certify: config.listen.tls?.clientAuth && createCertify(config.identity.clientCertificates, identity.revocations),
    identify: identity.identify,
    tokens: identity.tokens,
    policy: options.policy,
    shadow: options.shadow,
    upstream,
    via,
    bodies: createBodyBudget(config.limits.bodiesTotal),
    record,
    trails: createTrails(log),
    extraHeaders: parts.extraHeaders,
    faults,
    drainState: options.drainState,
    onInternalError: (error, requestId) =>
      log.error({ err: error, request_id: requestId }, 'a request failed inside the sidecar'),
  });
  const connectionTelling = tellOfConnections(log, metrics);
  const { onHandshakeFailure } = connectionTelling;
  const dataListener = createDataListener({ config, pipeline, record, faults, onHandshakeFailure });
  const secured = securedConnections(config, dataListener, connections);
  const certificates = watchCertificates(secured, connectionTelling.onCertificates);
  const closeServer = createServerClose(dataListener.server, pipeline.endsNow);
  if (options.looksFirst === true) await certificates.look();
  const data = await listen(dataListener.server, config.listen.data);

  return {
    data,
    upstream: upstream.id,
    connections,
    pseudonym: via.pseudonym,
    inFlight: pipeline.inFlight,
    countInFlight: pipeline.inFlight,
    notReady: identity.notReady,
    tellNow: batch.drain,
    expiries: certificates.expiries,
    describeIdentity: identity.describe,
    async look() {
      await Promise.all([certificates.look(), identity.look()]);
    },
    async end(graceMs) {
      certificates.close();
      await closeServer(graceMs);
      parts.closeIdentity();
      // A request that was cut has its end, and so its event, a turn or two later.
      for (let turn = 0; turn < 100 && pipeline.inFlight() > 0; turn += 1) await sleep(10);
      connectionTelling.close();
      batch.drain();
    },
    close: upstream.close,
  };
}

/** What is made with certificates of files, and how each takes new ones. */
function securedConnections(
  config: Config,
  { replace }: DataListener,
  connections: Connections,
): readonly WatchedTls[] {
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
      apply: connections.replace,
    });
  }
  return secured;
}
