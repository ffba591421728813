/** What the log and the metrics are told of connections that were to be secured. */
import type { HandshakeReport } from '../http/tls-server.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import type { WatchedTls } from '../tls/watch.ts';

export interface ConnectionTelling {
  readonly onHandshakeFailure: (report: HandshakeReport) => void;
  /** @param faults why new certificates were refused; empty where they are in use */
  readonly onCertificates: (connection: WatchedTls['connection'], faults: readonly string[]) => void;
  close(): void;
}

export function tellOfConnections(
  log: Logger,
  metrics: Pick<Metrics, 'handshakeFailed' | 'tlsReloaded'>,
): ConnectionTelling {
  const handshakes = createSparse({
    most: 10,
    perMs: 60_000,
    onLeftOut: (reason, left_out) => log.warn({ reason, left_out }, 'more TLS handshakes failed'),
  });
  return {
    onHandshakeFailure(report) {
      metrics.handshakeFailed(report.reason);
      // Probes open a connection and close it; whatever else fails is rare where nobody means harm.
      if (report.reason === 'closed') log.debug(report, 'a TLS handshake failed');
      else if (handshakes.admits(report.reason)) log.warn(report, 'a TLS handshake failed');
    },
    onCertificates(connection, faults) {
      metrics.tlsReloaded(connection, faults.length === 0 ? 'success' : 'failure');
      if (faults.length === 0) log.info({ connection }, 'new certificates are in use');
      else log.error({ connection, faults }, 'new certificates were refused, the former ones stay in use');
    },
    close: () => handshakes.close(),
  };
}
