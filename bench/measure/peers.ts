/** Every process of a measurement, warm and with its idle rate known. */
import { setTimeout as sleep } from 'node:timers/promises';

import { drive, type Load } from '../load/drive.ts';
import { buildRequest, type Kind } from '../load/exchanges.ts';
import { keepOn, type Peer, startPeer } from '../peers/process.ts';
import { awaitReady, defaultPolicy, furnishSidecar, type SidecarHome, signToken } from '../peers/sidecar-home.ts';
import { buildBundle } from './bundle.ts';
import type { Plan } from './plan.ts';
import { measureIdle, type Way, type WayName } from './rounds.ts';

export interface Surroundings {
  /** For what the measurement needs on a disk. */
  readonly directory: string;
  /** Where the sidecars' standard output goes. */
  readonly auditFd: number;
}

export interface Ways extends Readonly<Record<WayName, Way<WayName>>> {
  readonly bundlePath: string;
  /** Of the sidecar on Rego. */
  readonly opsPort: number;
}

/** Connections of the loads that are not streams. */
export const connections = 8;

/** @param stack ends the processes */
export async function startWays(plan: Plan, surroundings: Surroundings, stack: AsyncDisposableStack): Promise<Ways> {
  const { directory, auditFd } = surroundings;
  const keep = keepOn(stack);
  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const bare = await keep(startPeer({ script: 'bare.ts', args: [`http://127.0.0.1:${upstream.port}`] }));
  const bundlePath = await buildBundle(directory, defaultPolicy);
  const home = await furnishSidecar(directory, defaultPolicy, upstream.port);
  const sidecar = await keep(startSidecar(home, auditFd));
  const bundleHome = await furnishSidecar(directory, bundlePath, upstream.port);
  const bundle = await keep(startSidecar(bundleHome, auditFd));

  // Requests last: they are what is measured first, and the code that V8 made for them must be what is run.
  for (const { port } of [upstream, bare, sidecar, bundle]) {
    await Promise.all([
      drive({ ...loadOf('ndjson', 100, 4, plan.warmUpMs / 3), port }),
      drive({ ...loadOf('sse', 100, 4, plan.warmUpMs / 3), port }),
    ]);
    await drive({ ...loadOf('length', 0, connections, plan.warmUpMs), port });
  }
  await sleep(plan.idleMs / 2);
  const [bareIdle = 0, sidecarIdle = 0, bundleIdle = 0] = await measureIdle([bare, sidecar, bundle], plan.idleMs);
  return {
    direct: { name: 'direct', port: upstream.port, peer: undefined, idleUsPerS: 0 },
    bare: { name: 'bare', port: bare.port, peer: bare, idleUsPerS: bareIdle },
    sidecar: { name: 'sidecar', port: sidecar.port, peer: sidecar, idleUsPerS: sidecarIdle },
    bundle: { name: 'bundle', port: bundle.port, peer: bundle, idleUsPerS: bundleIdle },
    bundlePath,
    opsPort: home.opsPort,
  };
}

/** @param frames of a stream @param atOnce connections @param durationMs 0: one request on each */
export function loadOf(kind: Kind, frames: number, atOnce: number, durationMs: number): Omit<Load, 'port'> {
  return { kind, frames, request: buildRequest(kind, frames, signToken()), connections: atOnce, durationMs };
}

export function startSidecar(home: SidecarHome, auditFd: number): Promise<Peer> {
  const listening = async (): Promise<number> => {
    await awaitReady(home.opsPort);
    return home.dataPort;
  };
  return startPeer({ script: 'sidecar.ts', args: home.args, env: home.env, stdout: auditFd, listening });
}
