/** Gateways side by side: alternating rounds of the same two loads on each, all before one upstream. */

import { findFreePort } from '../../test/support/free-port.ts';
import { drive, type Load } from '../load/drive.ts';
import { buildRequest, type Kind } from '../load/exchanges.ts';
import type { Gateway } from '../peers/gateways/gateway.ts';
import { keepOn, startPeer } from '../peers/process.ts';
import { signToken } from '../peers/sidecar-home.ts';
import { cpuPerFrame, cpuPerRequest } from './costs.ts';
import { type Round, runRound, type Way } from './rounds.ts';
import { medianOf, quantileOf } from './statistics.ts';

export interface Compared {
  readonly gateway: Gateway;
  readonly version: string;
  readonly frames: number;
  readonly answers: readonly Round[];
  readonly streams: readonly Round[];
}

export interface GatewayPlan {
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
  /** Load before each round of answers that does not count. */
  readonly wakeMs: number;
  /** Of a stream, the last one that carries the counts not included. */
  readonly frames: number;
  readonly makeDirectory: () => Promise<string>;
}

const connections = 8;
const streamsAtOnce = 16;

interface Running {
  readonly gateway: Gateway;
  readonly version: string;
  readonly way: Way;
  loadOf(kind: Kind): Omit<Load, 'port'>;
}

export async function compareGateways(gateways: readonly Gateway[], plan: GatewayPlan): Promise<readonly Compared[]> {
  await using stack = new AsyncDisposableStack();
  const keep = keepOn(stack);
  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const running: Running[] = [];
  for (const gateway of gateways) {
    const version = await gateway.prepare();
    const port = await findFreePort();
    const directory = await plan.makeDirectory();
    const peer = await keep(gateway.start({ port, upstreamPort: upstream.port, directory }));
    const way = { name: gateway.name, port: peer.port, peer, idleUsPerS: 0 };
    running.push({ gateway, version, way, loadOf: (kind) => loadOf(gateway, plan, upstream.port, kind) });
  }
  for (const { gateway, way, loadOf: of } of running) {
    if (gateway.noStreams === undefined) await drive({ ...of('sse'), port: way.port });
    await drive({ ...of('completion'), durationMs: plan.warmUpMs, port: way.port });
  }
  const answers = await measure(running, plan, 'completion');
  const streams = await measure(running, plan, 'sse');
  return running.map(({ gateway, version }, index) => ({
    frames: plan.frames,
    gateway,
    version,
    answers: answers[index] ?? [],
    streams: streams[index] ?? [],
  }));
}

async function measure(running: readonly Running[], plan: GatewayPlan, kind: Kind): Promise<Round[][]> {
  const measured: Round[][] = running.map(() => []);
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const [index, { gateway, way, loadOf: of }] of running.entries()) {
      if (kind === 'sse' && gateway.noStreams !== undefined) continue;
      // It waited while all the others had their round: how it wakes up is another question.
      if (kind === 'completion') await drive({ ...of(kind), durationMs: plan.wakeMs, port: way.port });
      measured[index]?.push(await runRound(way, of(kind)));
    }
  }
  return measured;
}

function loadOf(
  gateway: Gateway,
  { frames, roundMs }: GatewayPlan,
  upstreamPort: number,
  kind: Kind,
): Omit<Load, 'port'> {
  const streamed = kind === 'sse';
  const token = gateway.token ?? signToken();
  return {
    kind,
    frames,
    request: buildRequest(kind, frames, token, gateway.headers?.(upstreamPort)),
    connections: streamed ? streamsAtOnce : connections,
    durationMs: streamed ? 0 : roundMs,
    rewritten: gateway.rewrites === true,
  };
}

/** @returns a table in Markdown, in the order of its first column */
export function renderComparison(compared: readonly Compared[]): string {
  const bare = compared[0];
  const rows = compared.map(({ gateway, version, frames, answers, streams }) => {
    const request = medianOf(answers.map(cpuPerRequest));
    const ratio = bare === undefined ? Number.NaN : request / medianOf(bare.answers.map(cpuPerRequest));
    const firstByte = medianOf(answers.map(({ firstByteMs }) => quantileOf(firstByteMs, 0.5)));
    const memory = Math.max(...answers.map(({ rssBytes }) => rssBytes)) / 2 ** 20;
    const figures = [
      request.toFixed(0),
      ratio.toFixed(2),
      streams.length === 0 ? '–' : medianOf(streams.map(cpuPerFrame(frames))).toFixed(0),
    ];
    return [gateway.name, version, gateway.does, ...figures, firstByte.toFixed(1), memory.toFixed(0)];
  });
  const head = ['gateway', 'version', 'what it does here', 'CPU of a request, µs', 'against the first'];
  const table = [
    [...head, 'CPU of a frame, µs', 'p50 of the answer, ms', 'memory, MiB'],
    rows[0]?.map(() => '---') ?? [],
  ];
  return [...table, ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
}
