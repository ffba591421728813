/**
 * `npm run bench:audit`: what the audit file costs. By itself, without a socket; and in place, as what sidecars differ by
 * that have lines on standard output alone, an audit file besides, and one that is strict, in front of one upstream.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { drive } from './load/drive.ts';
import { askEvenly } from './load/evenly.ts';
import { buildRequest } from './load/exchanges.ts';
import { measureDisk, measureSink } from './measure/audit-sink.ts';
import { buildBundle } from './measure/bundle.ts';
import { measureDifference } from './measure/in-place.ts';
import { connections, loadOf, startSidecar } from './measure/peers.ts';
import { quantileOf } from './measure/statistics.ts';
import { keepOn, type Peer, startPeer } from './peers/process.ts';
import { defaultPolicy, furnishSidecar, signToken, withDirectory } from './peers/sidecar-home.ts';

/** Requests a second of those whose time counts, and of those whose CPU does. */
const [rate, steadyRate] = [200, 2000];
const latencyRounds = 8;
const latencyMs = 1500;
/** Pairs: a few dozen say little on a machine that does something else besides. */
const steadyRounds = Number(process.argv[2] ?? 60);
const steadyMs = 500;
const warmUpMs = 2500;
/** Most that it may cost: µs of CPU a request, ms of the time until the first byte in the middle. */
const aims = { asyncUs: 5, strictMs: 2 } as const;

const audits = {
  none: {},
  async: { file: 'audit/audit.jsonl' },
  strict: { file: 'audit/audit.jsonl', durability: 'strict' },
} as const;
type Name = keyof typeof audits;
const names: readonly Name[] = ['none', 'async', 'strict'];

await withDirectory(async (directory) => {
  const stdout = await open(join(directory, 'stdout.jsonl'), 'w');
  await using stack = new AsyncDisposableStack();
  stack.defer(() => stdout.close());
  const keep = keepOn(stack);
  const sink = await measureSink(directory);
  print('async: the file by itself, CPU a request, best of its rounds', sink.bestUs, 'µs');
  print('async: the file by itself, CPU a request, in the middle', sink.middleUs, 'µs', [sink.middleUs, aims.asyncUs]);

  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const bundle = await buildBundle(directory, defaultPolicy);
  const start = async (name: Name): Promise<Peer> => {
    const home = await furnishSidecar(directory, bundle, upstream.port, { audit: audits[name] });
    return await keep(startSidecar(home, stdout.fd));
  };
  const peers = { none: await start('none'), async: await start('async'), strict: await start('strict') };
  const request = buildRequest('length', 0, signToken());

  const diskMs: number[] = [];
  const latency = new Map<Name, number[]>(names.map((name) => [name, []]));
  // Apart from the steady load, whose lines the disk would still be busy with.
  for (let round = -1; round < latencyRounds; round += 1) {
    for (const name of names) {
      const times = await askEvenly({ port: peers[name].port, request, rate, durationMs: latencyMs });
      // The first one warms up.
      if (round >= 0) latency.get(name)?.push(...times);
    }
    diskMs.push(await measureDisk(directory));
  }
  const timeOf = (name: Name, at = 0.5): number => quantileOf(latency.get(name) ?? [], at);
  for (const name of names) {
    print(`${name}: first byte at ${rate} requests/s, p50`, timeOf(name), 'ms');
    print(`${name}: first byte at ${rate} requests/s, p99`, timeOf(name, 0.99), 'ms');
  }
  print('the disk alone: a line written and synced, p50', quantileOf(diskMs, 0.5), 'ms');
  const strictMs = timeOf('strict') - timeOf('none');
  print('strict: what it adds to p50', strictMs, 'ms', [strictMs, aims.strictMs]);

  // V8 drops code of a process that waited for its turn.
  for (const { port } of [peers.none, peers.async, peers.none, peers.async])
    await drive({ ...loadOf('length', 0, connections, warmUpMs), port });
  const load = { request, rate: steadyRate, durationMs: steadyMs };
  const { without, having, more, between } = await measureDifference([peers.none, peers.async], load, steadyRounds);
  print(`none: sidecar at ${steadyRate} requests/s, CPU a request`, without, 'µs');
  print(`async: sidecar at ${steadyRate} requests/s, CPU a request`, having, 'µs');
  const [low, high] = between;
  print(`async: what the file adds there, in the middle of ${steadyRounds} pairs of rounds`, more, 'µs', [
    more,
    aims.asyncUs,
    between,
  ]);
  print('  the middle lies between, in 19 of 20 such runs', low, 'µs');
  print('  and', high, 'µs');
});

/** @param aim the figure, the most that it may be, and between which bounds it is known */
function print(
  what: string,
  figure: number,
  unit: string,
  aim?: readonly [figure: number, limit: number, between?: readonly [number, number]],
): void {
  const line = `${what.padEnd(76)} ${figure.toFixed(2).padStart(8)} ${unit}`;
  process.stdout.write(aim === undefined ? `${line}\n` : `${line}  aim ${aim[1]} ${unit}: ${judge(aim)}\n`);
}

/** Noise may be larger than the limit: then no word is the only right one. */
function judge([figure, limit, [low, high] = [figure, figure]]: readonly [
  figure: number,
  limit: number,
  between?: readonly [number, number],
]): string {
  if (high < limit) return 'met';
  return low >= limit ? 'missed' : `${figure < limit ? 'met' : 'missed'}, but for noise`;
}
