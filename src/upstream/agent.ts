/** The connections to the upstream: a pool of them, and how they are secured. */
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';

import type { TlsMaterial } from '../types.ts';

/** As `Config.upstream.tls`. */
export interface AgentTls {
  readonly material: TlsMaterial;
  readonly serverName: string | undefined;
}

export interface UpstreamAgent {
  /** The pool that new requests take; it may be another one for each. */
  current(): Agent;
  /** New requests get connections that are made with this material; those that are in flight keep theirs. */
  replace(material: TlsMaterial): void;
  close(): void;
}

export function createUpstreamAgent(baseUrl: URL, tls: AgentTls | undefined): UpstreamAgent {
  let agent = create(tls?.material);
  const retired = new Set<Agent>();

  return {
    current: () => agent,
    replace(material) {
      const old = agent;
      agent = create(material);
      retire(old);
    },
    close() {
      for (const one of [agent, ...retired]) one.destroy();
    },
  };

  function create(material: TlsMaterial | undefined): Agent {
    // The middleware's own agent holds 256 sockets; the 257th stream would wait in silence.
    const pool = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 256 };
    if (baseUrl.protocol !== 'https:') return new Agent(pool);
    return new TlsAgent({
      ...pool,
      // Said outright, because an environment variable of Node's could switch it off otherwise.
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...material?.parts,
      ...(tls?.serverName !== undefined && { servername: tls.serverName }),
    });
  }

  /** Closes what is idle now, and what is in use as soon as it is not. */
  function retire(old: Agent): void {
    old.maxFreeSockets = 0;
    for (const sockets of Object.values(old.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    retired.add(old);
    for (const one of retired) if (Object.keys(one.sockets).length === 0) retired.delete(one);
  }
}
