/** The connections to the upstream: a pool of them, and how they are secured. */
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';

import type { TlsMaterial } from '../types.ts';
import { type IdleConnections, keepIdleConnections } from './idle-connections.ts';

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

/** Connections that are kept between requests. */
const mostIdle = 256;

export function createUpstreamAgent(baseUrl: URL, tls: AgentTls | undefined): UpstreamAgent {
  let pool = open(tls?.material);
  const retired = new Set<Agent>();

  return {
    current: () => pool.agent,
    replace(material) {
      const old = pool;
      pool = open(material);
      old.idle.retire();
      retired.add(old.agent);
      for (const one of retired) if (Object.keys(one.sockets).length === 0) retired.delete(one);
    },
    close() {
      for (const one of [pool.agent, ...retired]) one.destroy();
    },
  };

  function open(material: TlsMaterial | undefined): { readonly agent: Agent; readonly idle: IdleConnections } {
    const agent = create(material);
    return { agent, idle: keepIdleConnections(agent, mostIdle) };
  }

  function create(material: TlsMaterial | undefined): Agent {
    // The middleware's own agent holds 256 sockets; the 257th stream would wait in silence.
    const pool = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY };
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
}
