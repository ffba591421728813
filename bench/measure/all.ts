/** The whole measurement, in order: processes up, warm, idle, loads in alternating rounds, profiles, starts, decisions. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Figure, PartTable, Results } from '../figures.ts';
import { drive, type Load } from '../load/drive.ts';
import { buildRequest, type Kind } from '../load/exchanges.ts';
import { type Peer, startPeer } from '../peers/process.ts';
import { awaitReady, defaultPolicy, furnishSidecar, type SidecarHome, signToken } from '../peers/sidecar-home.ts';
import { buildBundle } from './bundle.ts';
import { compareDecisions, measureDecisionAlone, readDecisions } from './decision.ts';
import { comparePartsUnder } from './parts-under-load.ts';
import { measureIdle, type Round, type RoundsByWay, runRounds, type Way } from './rounds.ts';
import { measureStart } from './start.ts';
import { medianOf, medianRatio, quantileOf } from './statistics.ts';

/** How long everything takes. */
export interface Plan {
  readonly warmUpMs: number;
  readonly idleMs: number;
  readonly requestRounds: number;
  readonly requestMs: number;
  readonly streamRounds: number;
  /** At once. */
  readonly streams: number;
  /** Of each stream. */
  readonly frames: number;
  readonly firstTokenRounds: number;
  readonly firstTokenMs: number;
  readonly profileMs: number;
  readonly starts: number;
  readonly decisionMs: number;
}

export interface Surroundings {
  readonly directory: string;
  /** Where the sidecars' standard output goes. */
  readonly auditFd: number;
  /** Where the profiles that the parts are made of are left, for a profiler's own view. Undefined: nowhere. */
  readonly profiles: string | undefined;
}

type Measured = Pick<Results, 'figures' | 'parts' | 'remarks'>;

/** Connections of the loads that are not streams. */
const connections = 8;
const firstTokenFrames = 2;
const toMiB = 1 / (1024 * 1024);

export async function measureAll(plan: Plan, { directory, auditFd, profiles }: Surroundings): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  const keep = async (starting: Promise<Peer>): Promise<Peer> => {
    const peer = await starting;
    stack.defer(() => peer.stop());
    return peer;
  };
  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const bare = await keep(startPeer({ script: 'bare.ts', args: [`http://127.0.0.1:${upstream.port}`] }));
  const bundlePath = await buildBundle(directory, defaultPolicy);
  const home = await furnishSidecar(directory, defaultPolicy, upstream.port);
  const bundleHome = await furnishSidecar(directory, bundlePath, upstream.port);
  const sidecar = await keep(startSidecar(home, auditFd));
  const bundle = await keep(startSidecar(bundleHome, auditFd));
  const rssAtStart = (await bundle.usage()).rssBytes;

  const token = signToken();
  const loadOf = (kind: Kind, frames: number, atOnce: number, durationMs: number): Omit<Load, 'port'> => ({
    kind,
    frames,
    request: buildRequest(kind, frames, token),
    connections: atOnce,
    durationMs,
  });
  for (const { port } of [upstream, bare, sidecar, bundle]) {
    await drive({ ...loadOf('length', 0, connections, plan.warmUpMs), port });
    await Promise.all([
      drive({ ...loadOf('ndjson', 100, 4, plan.warmUpMs / 3), port }),
      drive({ ...loadOf('sse', 100, 4, plan.warmUpMs / 3), port }),
    ]);
  }
  await sleep(plan.idleMs / 2);
  const [bareIdle = 0, sidecarIdle = 0, bundleIdle = 0] = await measureIdle([bare, sidecar, bundle], plan.idleMs);
  const ways = {
    direct: { name: 'direct', port: upstream.port, peer: undefined, idleUsPerS: 0 },
    bare: { name: 'bare', port: bare.port, peer: bare, idleUsPerS: bareIdle },
    sidecar: { name: 'sidecar', port: sidecar.port, peer: sidecar, idleUsPerS: sidecarIdle },
    bundle: { name: 'bundle', port: bundle.port, peer: bundle, idleUsPerS: bundleIdle },
  } as const satisfies Record<string, Way>;
  const three = [ways.direct, ways.bare, ways.sidecar];

  const requestLoad = loadOf('length', 0, connections, plan.requestMs);
  const decisionsBefore = await readDecisions(home.opsPort);
  const requests = select(await runRounds([...three, ways.bundle], plan.requestRounds, requestLoad), ways);
  const decided = compareDecisions(decisionsBefore, await readDecisions(home.opsPort));
  // One round is one stream on each connection: none is begun after the first.
  const ndjson = select(
    await runRounds(three, plan.streamRounds, loadOf('ndjson', plan.frames, plan.streams, 0)),
    ways,
  );
  const sse = select(await runRounds(three, plan.streamRounds, loadOf('sse', plan.frames, plan.streams, 0)), ways);
  const firstTokenLoad = loadOf('ndjson', firstTokenFrames, 2, plan.firstTokenMs);
  const firstTokens = select(await runRounds(three, plan.firstTokenRounds, firstTokenLoad), ways);

  const requestParts = await comparePartsUnder(ways, loadOf('length', 0, connections, plan.profileMs), profiles);
  const streamParts = await comparePartsUnder(
    ways,
    loadOf('ndjson', plan.frames, plan.streams, plan.profileMs / 2),
    profiles,
  );

  const startsFromRego: number[] = [];
  const startsFromBundle: number[] = [];
  for (let index = 0; index < plan.starts; index += 1) {
    startsFromRego.push(await measureStart(directory, defaultPolicy, upstream.port));
    startsFromBundle.push(await measureStart(directory, bundlePath, upstream.port));
  }
  const alone = await measureDecisionAlone(defaultPolicy, plan.decisionMs);

  const rssOf = (rounds: readonly Round[]): number => Math.max(...rounds.map(({ rssBytes }) => rssBytes)) * toMiB;
  const figures: Figure[] = [
    { name: 'CPU of a request', unit: 'µs', ...costs(requests, cpuPerRequest), aim: ratioAim(1.6) },
    { name: 'CPU of a request, in the main thread', unit: 'µs', ...costs(requests, mainThreadPerRequest) },
    { name: 'CPU of a frame, /api/chat', unit: 'µs', ...costs(ndjson, cpuPerFrame(plan.frames)), aim: ratioAim(1.15) },
    {
      name: 'CPU of a frame, /v1 with usage hidden',
      unit: 'µs',
      ...costs(sse, cpuPerFrame(plan.frames)),
      aim: ratioAim(1.15),
    },
    { name: 'requests', unit: '/s', ...costs(requests, perSecond), direct: medianOf(requests.direct.map(perSecond)) },
    ...[0.5, 0.99].map((quantile) => ({
      name: `added first-token time, p${quantile * 100}`,
      unit: 'ms',
      ...addedFirstToken(firstTokens, quantile),
    })),
    { name: 'decision in place, median', unit: 'µs', sidecar: decided.p50, aim: valueAim(25) },
    { name: 'decision in place, mean', unit: 'µs', sidecar: decided.mean },
    { name: 'decisions in place within 25 µs', unit: '%', sidecar: decided.within25us * 100 },
    { name: 'decision alone, median', unit: 'µs', sidecar: alone.p50 },
    { name: 'decision alone, p99', unit: 'µs', sidecar: alone.p99 },
    { name: 'ready from .rego', unit: 's', sidecar: medianOf(startsFromRego), aim: valueAim(3) },
    { name: 'ready from a compiled bundle', unit: 's', sidecar: medianOf(startsFromBundle), aim: valueAim(0.6) },
    { name: 'memory from a compiled bundle, at start', unit: 'MiB', sidecar: rssAtStart * toMiB, aim: valueAim(120) },
    {
      name: 'memory from a compiled bundle, under load',
      unit: 'MiB',
      sidecar: rssOf(requests.bundle),
      aim: valueAim(120),
    },
    {
      name: 'memory from .rego, under load',
      unit: 'MiB',
      bare: rssOf(requests.bare),
      sidecar: rssOf(requests.sidecar),
    },
    {
      name: 'CPU of a request, from a compiled bundle',
      unit: 'µs',
      bare: medianOf(requests.bare.map(cpuPerRequest)),
      sidecar: medianOf(requests.bundle.map(cpuPerRequest)),
      ratio: medianRatio(requests.bundle.map(cpuPerRequest), requests.bare.map(cpuPerRequest)),
    },
  ];
  const parts: PartTable[] = [
    { name: 'CPU of a request', unit: 'µs', parts: requestParts(cpuPerRequest) },
    { name: 'CPU of a frame', unit: 'µs', parts: streamParts(cpuPerFrame(plan.frames)) },
  ];
  return { figures, parts, remarks: remarkOn(ndjson, plan.frames) };
}

function startSidecar(home: SidecarHome, auditFd: number): Promise<Peer> {
  const listening = async (): Promise<number> => {
    await awaitReady(home.opsPort);
    return home.dataPort;
  };
  return startPeer({ script: 'sidecar.ts', args: home.args, env: home.env, stdout: auditFd, listening });
}

type ByName = Readonly<Record<Way['name'], readonly Round[]>>;

function select(rounds: RoundsByWay, ways: Readonly<Record<Way['name'], Way>>): ByName {
  const of = (way: Way): readonly Round[] => rounds.get(way) ?? [];
  return { direct: of(ways.direct), bare: of(ways.bare), sidecar: of(ways.sidecar), bundle: of(ways.bundle) };
}

function cpuPerRequest(round: Round): number {
  return round.cpuUs / round.requests;
}

function mainThreadPerRequest(round: Round): number {
  return round.mainThreadUs / round.requests;
}

/** The frame with the counts is one too. */
function cpuPerFrame(frames: number): (round: Round) => number {
  return (round) => round.cpuUs / (round.requests * (frames + 1));
}

function perSecond(round: Round): number {
  return round.requests / round.seconds;
}

function costs(rounds: ByName, measure: (round: Round) => number): Pick<Figure, 'bare' | 'sidecar' | 'ratio'> {
  const bare = rounds.bare.map(measure);
  const sidecar = rounds.sidecar.map(measure);
  return { bare: medianOf(bare), sidecar: medianOf(sidecar), ratio: medianRatio(sidecar, bare) };
}

/** Beyond what the same request takes without anything in between. */
function addedFirstToken(rounds: ByName, quantile: number): Pick<Figure, 'direct' | 'bare' | 'sidecar'> {
  const of = (each: readonly Round[]): number =>
    medianOf(each.map(({ firstByteMs }) => quantileOf(firstByteMs, quantile)));
  const direct = of(rounds.direct);
  return { direct, bare: of(rounds.bare) - direct, sidecar: of(rounds.sidecar) - direct };
}

function ratioAim(limit: number): NonNullable<Figure['aim']> {
  return { at: 'most', of: 'ratio', limit };
}

function valueAim(limit: number): NonNullable<Figure['aim']> {
  return { at: 'most', of: 'value', limit };
}

/** Frames that reach a proxy together cost it less than frames that come one by one. */
function remarkOn(rounds: ByName, frames: number): string[] {
  const readsPerFrame = (each: readonly Round[]): number =>
    medianOf(each.map(({ reads, requests }) => reads / (requests * (frames + 1))));
  const lowest = Math.min(...[rounds.direct, rounds.bare, rounds.sidecar].map(readsPerFrame));
  return lowest < 0.9
    ? [`frames came together (${lowest.toFixed(2)} reads a frame): the machine is too busy for the figures of a frame`]
    : [];
}
