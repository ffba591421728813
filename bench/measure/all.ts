/** The whole measurement, in order. */
import type { Figure, Results } from '../figures.ts';
import { drive, type Load } from '../load/drive.ts';
import { defaultPolicy } from '../peers/sidecar-home.ts';
import {
  addedFirstToken,
  costs,
  cpuPerFrame,
  cpuPerRequest,
  framesOf,
  mainThreadPerRequest,
  perSecond,
  remarkOn,
  select,
} from './costs.ts';
import { compareDecisions, measureDecisionAlone, readDecisions } from './decision.ts';
import { measureGuard } from './guard.ts';
import { comparePartsUnder } from './parts-under-load.ts';
import { connections, loadOf, type Surroundings, startWays } from './peers.ts';
import type { Plan } from './plan.ts';
import { type Round, runRounds, type Way } from './rounds.ts';
import { measureStarts } from './starts.ts';
import { medianOf, medianRatio } from './statistics.ts';
import { mebibytes } from './units.ts';

const firstTokenFrames = 2;

/** @param profiles where the profiles that the parts are made of are left, for a profiler's own view */
export async function measureAll(
  plan: Plan,
  surroundings: Surroundings,
  profiles?: string,
): Promise<Pick<Results, 'figures' | 'parts' | 'remarks'>> {
  await using stack = new AsyncDisposableStack();
  const ways = await startWays(plan, surroundings, stack);
  const three = [ways.direct, ways.bare, ways.sidecar];
  const perFrame = cpuPerFrame(plan.frames);

  const requestLoad = loadOf('length', 0, connections, plan.requestMs);
  const decisionsBefore = await readDecisions(ways.opsPort);
  // V8 collects in a process that waits, and drops code that it had made faster; to make it again takes seconds of load.
  const settled = async (all: readonly Way[], count: number, load: Omit<Load, 'port'>, settling: number) => {
    await runRounds(all, settling, load);
    return await runRounds(all, count, load);
  };
  const requests = select(
    await settled([...three, ways.bundle], plan.requestRounds, requestLoad, plan.settlingRounds),
    ways,
  );
  const decided = compareDecisions(decisionsBefore, await readDecisions(ways.opsPort));
  // One round is one stream on each connection: none is begun after the first.
  const streamsOf = async (kind: 'ndjson' | 'sse') =>
    select(
      await settled(three, plan.streamRounds, loadOf(kind, plan.frames, plan.streams, 0), plan.settlingRounds >> 1),
      ways,
    );
  const ndjson = await streamsOf('ndjson');
  const sse = await streamsOf('sse');
  const firstTokenLoad = loadOf('ndjson', firstTokenFrames, 2, plan.firstTokenMs);
  const firstTokens = select(await runRounds(three, plan.firstTokenRounds, firstTokenLoad), ways);

  const requestParts = await comparePartsUnder(ways, {
    load: loadOf('length', 0, connections, plan.profileMs),
    rounds: requests,
    count: ({ requests: count }) => count,
    directory: profiles,
  });
  const streamParts = await comparePartsUnder(ways, {
    load: loadOf('ndjson', plan.frames, plan.streams, plan.profileMs / 2),
    rounds: ndjson,
    count: framesOf(plan.frames),
    directory: profiles,
  });

  const starts = await measureStarts({
    directory: surroundings.directory,
    bundlePath: ways.bundlePath,
    upstreamPort: ways.direct.port,
    count: plan.starts,
    use: (port) => drive({ ...requestLoad, durationMs: plan.warmUpMs, port }),
  });
  const alone = await measureDecisionAlone(defaultPolicy, plan.decisionMs);

  const peakRss = (rounds: readonly Round[]): number => mebibytes(Math.max(...rounds.map(({ rssBytes }) => rssBytes)));
  const figures: Figure[] = [
    { name: 'CPU of a request', unit: 'µs', ...costs(requests, cpuPerRequest), aim: { of: 'ratio', limit: 1.1 } },
    { name: 'CPU of a request, in the main thread', unit: 'µs', ...costs(requests, mainThreadPerRequest) },
    { name: 'CPU of a frame, /api/chat', unit: 'µs', ...costs(ndjson, perFrame), aim: { of: 'ratio', limit: 1.1 } },
    {
      name: 'CPU of a frame, /v1 with usage hidden',
      unit: 'µs',
      ...costs(sse, perFrame),
      aim: { of: 'ratio', limit: 1.1 },
    },
    { name: 'requests', unit: '/s', ...costs(requests, perSecond), direct: medianOf(requests.direct.map(perSecond)) },
    ...[0.5, 0.99].map((quantile) => ({
      name: `added first-token time, p${quantile * 100}`,
      unit: 'ms',
      ...addedFirstToken(firstTokens, quantile),
    })),
    { name: 'decision in place, mean', unit: 'µs', sidecar: decided.mean, aim: { of: 'value', limit: 25 } },
    { name: 'decisions in place within 25 µs', unit: '%', sidecar: decided.within25us * 100 },
    { name: 'decision alone, median', unit: 'µs', sidecar: alone.p50 },
    { name: 'decision alone, p99', unit: 'µs', sidecar: alone.p99 },
    ...measureGuard(plan.decisionMs),
    ...starts,
    {
      name: 'memory in a checkout, under load',
      unit: 'MiB',
      bare: peakRss(requests.bare),
      sidecar: peakRss(requests.sidecar),
    },
    {
      name: 'CPU of a request, from a compiled bundle',
      unit: 'µs',
      bare: medianOf(requests.bare.map(cpuPerRequest)),
      sidecar: medianOf(requests.bundle.map(cpuPerRequest)),
      ratio: medianRatio(requests.bundle.map(cpuPerRequest), requests.bare.map(cpuPerRequest)),
    },
  ];
  const parts = [
    { name: 'CPU of a request', unit: 'µs', parts: requestParts },
    { name: 'CPU of a frame', unit: 'µs', parts: streamParts },
  ];
  return { figures, parts, remarks: remarkOn(ndjson, plan.frames) };
}
