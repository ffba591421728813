/**
 * Where a process spends its time, part by part. Samples of V8's profiler are charged twice: to the code that was running
 * (`self`), and, where that belongs to Node, to the nearest caller that does not (`onBehalf`): `JSON.parse` and a socket's
 * write cost nothing by themselves, somebody asked for them.
 */
import type { Profiler } from 'node:inspector';

export interface PartTime {
  /** `src/identity`, a package's name, `node` ... */
  readonly part: string;
  /** Of the time that was not idle; shares from 0 to 1, or what they are multiplied with. */
  readonly self: number;
  readonly onBehalf: number;
}

const idle = '(idle)';
const node = 'node';
const others = 'others';
/** Share of the time below which a part has no line of its own. */
const smallest = 0.003;

export function splitByPart(profile: Profiler.Profile): readonly PartTime[] {
  const nodes = new Map(profile.nodes.map((each) => [each.id, each]));
  const parents = new Map(
    profile.nodes.flatMap((each) => (each.children ?? []).map((child) => [child, each.id] as const)),
  );
  const times = new Map<string, { self: number; onBehalf: number }>();
  let busy = 0;
  const timeOf = (part: string): { self: number; onBehalf: number } => {
    const time = times.get(part) ?? { self: 0, onBehalf: 0 };
    times.set(part, time);
    return time;
  };
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const ran = nodes.get(id);
    // A delta stands before its sample and is the time since the sample before it.
    const us = profile.timeDeltas?.[index + 1] ?? 0;
    if (ran === undefined || us <= 0 || ran.callFrame.functionName === idle) continue;
    busy += us;
    timeOf(partOf(ran)).self += us;
    timeOf(chargedPart(ran, nodes, parents)).onBehalf += us;
  }
  // What hardly shows is put together: a table of dozens of lines says less.
  for (const [part, time] of times) {
    if (time.onBehalf >= busy * smallest || part === others) continue;
    times.delete(part);
    const rest = timeOf(others);
    rest.self += time.self;
    rest.onBehalf += time.onBehalf;
  }
  return [...times]
    .map(([part, { self, onBehalf }]) => ({ part, self: self / busy, onBehalf: onBehalf / busy }))
    .sort((a, b) => b.onBehalf - a.onBehalf);
}

function chargedPart(
  ran: Profiler.ProfileNode,
  nodes: ReadonlyMap<number, Profiler.ProfileNode>,
  parents: ReadonlyMap<number, number>,
): string {
  for (let at: Profiler.ProfileNode | undefined = ran; at !== undefined; at = nodes.get(parents.get(at.id) ?? -1)) {
    const part = partOf(at);
    if (part !== node) return part;
  }
  return node;
}

/** What code belongs to: a folder of `src/`, a package, or Node, whose built-in functions have no URL. */
function partOf({ callFrame }: Profiler.ProfileNode): string {
  const { url, functionName } = callFrame;
  if (functionName === '(garbage collector)') return 'garbage collector';
  if (functionName === '(program)') return 'outside JavaScript';
  if (url.startsWith('wasm:')) return 'policy (WebAssembly)';
  const [, dependency] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/.exec(url) ?? [];
  if (dependency !== undefined) return dependency;
  const [, folder] = /\/(?:src|dist)\/([^/]+)\//.exec(url) ?? [];
  if (folder !== undefined) return `src/${folder}`;
  return node;
}
