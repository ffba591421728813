/** The certificates of every connection that is secured, watched together. */
import type { TlsFiles, TlsMaterial } from '../configured/tls.ts';
import { createTlsReload } from './reload.ts';

/** Which of the sidecar's connections; a label of metrics. */
export type TlsConnection = 'listener' | 'upstream';

export interface WatchedTls {
  readonly connection: TlsConnection;
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
  /** As of `TlsReloadOptions`. */
  readonly apply: (material: TlsMaterial) => void;
}

export interface CertificateWatch {
  /** Looks now whether files have changed. Never rejects. */
  look(): Promise<void>;
  close(): void;
  /** When the own certificate of each connection expires, Unix time in ms; none for one that presents no certificate. */
  expiries(): ReadonlyMap<TlsConnection, number>;
}

/**
 * @param onResult called once for each change of a connection's files; without faults where it was applied
 * @param everyMs as of `TlsReloadOptions`
 */
export function watchCertificates(
  watched: readonly WatchedTls[],
  onResult: (connection: TlsConnection, faults: readonly string[]) => void,
  everyMs?: number,
): CertificateWatch {
  const inUse = new Map(watched.map(({ connection, material }) => [connection, material]));
  // What came from no file would be gone, were none read again.
  const fromFiles = watched.filter(({ files: { cert, key, ca } }) => (cert ?? key ?? ca) !== undefined);
  const reloads = fromFiles.map(({ connection, apply, ...tls }) =>
    createTlsReload({
      ...tls,
      apply(material) {
        apply(material);
        inUse.set(connection, material);
      },
      onResult: (faults) => onResult(connection, faults),
      ...(everyMs !== undefined && { everyMs }),
    }),
  );
  return {
    async look() {
      await Promise.all(reloads.map((reload) => reload.look()));
    },
    close() {
      for (const reload of reloads) reload.close();
    },
    expiries() {
      const expiries = new Map<TlsConnection, number>();
      for (const [connection, { expiresMs }] of inUse) if (expiresMs !== undefined) expiries.set(connection, expiresMs);
      return expiries;
    },
  };
}
