/** The connections to the upstream: undici's pool of them, and how they are secured (docs/decisions/026). */
import Pool from 'undici/lib/dispatcher/pool.js';

import type { TlsMaterial } from '../configured/tls.ts';

/** As `Config.upstream.tls`. */
export interface ConnectionTls {
  readonly material: TlsMaterial;
  readonly serverName: string | undefined;
}

export interface ConnectionOptions {
  readonly baseUrl: URL;
  readonly tls?: ConnectionTls | undefined;
  /** ms; 0 for none. To within a second where it is more than one. */
  readonly timeouts: { readonly connect: number; readonly firstByte: number };
}

export interface Connections {
  /**
   * Sends a request, by a connection that is idle or a new one. As `Dispatcher.dispatch` of undici's. A `host` among its
   * headers would become the name that the upstream's certificate is verified for; without one it is the base URL's.
   */
  dispatch(request: Parameters<Pool['dispatch']>[0], handler: Parameters<Pool['dispatch']>[1]): void;
  /** New requests get connections that are made with this material; those that are in flight keep theirs. */
  replace(material: TlsMaterial): void;
  close(): void;
}

/** How long a connection is kept between requests where the upstream does not say, ms. Ollama says nothing and keeps it. */
const keptMs = 60_000;
/** An upstream's word is rounded, and takes a moment to arrive, ms. */
const marginMs = 1000;

export function openConnections({ baseUrl, tls, timeouts }: ConnectionOptions): Connections {
  let pool = open(tls?.material);
  const retired = new Set<Pool>();

  return {
    dispatch(request, handler) {
      pool.dispatch(request, handler);
    },
    replace(material) {
      const old = pool;
      pool = open(material);
      retired.add(old);
      void old.close().finally(() => retired.delete(old));
    },
    close() {
      for (const one of [pool, ...retired]) void one.destroy();
    },
  };

  function open(material: TlsMaterial | undefined): Pool {
    return new Pool(baseUrl.origin, {
      // Without a cap: with one the next stream would wait in silence.
      connections: null,
      pipelining: 1,
      headersTimeout: timeouts.firstByte,
      // The pauses of an answer are watched where it is handed on.
      bodyTimeout: 0,
      keepAliveTimeout: keptMs,
      keepAliveTimeoutThreshold: marginMs,
      allowH2: false,
      connect: {
        timeout: timeouts.connect,
        // Said outright, because an environment variable of Node's could switch it off otherwise.
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
        ...material?.parts,
        ...(tls?.serverName !== undefined && { servername: tls.serverName }),
      },
    });
  }
}
