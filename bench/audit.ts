/**
 * `npm run bench:audit`: what the audit file costs. Three sidecars in front of one upstream, with lines on standard output
 * alone, with an audit file besides, and with one that is strict; and the file by itself, without a socket.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { type Connection, openConnection } from './load/connection.ts';
import { buildRequest } from './load/exchanges.ts';
import { measureDisk, measureSink } from './measure/audit-sink.ts';
import { buildBundle } from './measure/bundle.ts';
import { connections, loadOf, startSidecar } from './measure/peers.ts';
import { runRound, type Way } from './measure/rounds.ts';
import { quantileOf } from './measure/statistics.ts';
import { type Peer, startPeer } from './peers/process.ts';
import { defaultPolicy, furnishSidecar, signToken, withDirectory } from './peers/sidecar-home.ts';

const rate = 200;
const rounds = 8;
const roundMs = 1500;

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
  const keep = async (starting: Promise<Peer>): Promise<Peer> => {
    const peer = await starting;
    stack.defer(() => peer.stop());
    return peer;
  };
  const sink = await measureSink(directory);
  const diskMs: number[] = [];
  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const bundle = await buildBundle(directory, defaultPolicy);
  const ways = new Map<Name, Way>();
  for (const name of names) {
    const home = await furnishSidecar(directory, bundle, upstream.port, { audit: audits[name] });
    const peer = await keep(startSidecar(home, stdout.fd));
    ways.set(name, { name: 'sidecar', port: peer.port, peer, idleUsPerS: 0 });
  }
  const cpu = new Map<Name, number[]>(names.map((name) => [name, []]));
  const latency = new Map<Name, number[]>(names.map((name) => [name, []]));
  // Apart from the full load, whose lines the disk would still be busy with.
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, way] of ways) {
      const times = await askEvenly(way.port, roundMs);
      // The first one warms up.
      if (round >= 0) latency.get(name)?.push(...times);
    }
    diskMs.push(await measureDisk(directory));
  }
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, way] of ways) {
      const { requests, cpuUs } = await runRound(way, loadOf('length', 0, connections, roundMs));
      if (round >= 0) cpu.get(name)?.push(cpuUs / requests);
    }
  }
  const middle = (values: readonly number[] | undefined, at = 0.5): number => quantileOf(values ?? [], at);
  // Neighbours in time: what else the machine does weighs on both.
  const more = (cpu.get('async') ?? []).map((us, at) => us - (cpu.get('none')?.[at] ?? 0));
  const print = (what: string, figure: number, unit: string): void =>
    void process.stdout.write(`${what.padEnd(72)} ${figure.toFixed(2).padStart(8)} ${unit}\n`);
  print('async: the file by itself, CPU a request, best of its rounds', sink.bestUs, 'µs');
  print('async: the file by itself, CPU a request, in the middle', sink.middleUs, 'µs');
  for (const name of names) print(`${name}: sidecar under full load, CPU a request`, middle(cpu.get(name)), 'µs');
  print('async: what the file adds there, in the middle of the rounds', middle(more), 'µs');
  for (const name of names) {
    print(`${name}: first byte at ${rate} requests/s, p50`, middle(latency.get(name)), 'ms');
    print(`${name}: first byte at ${rate} requests/s, p99`, middle(latency.get(name), 0.99), 'ms');
  }
  print('the disk alone: a line written and synced, p50', middle(diskMs), 'ms');
  print('strict: what it adds to p50', middle(latency.get('strict')) - middle(latency.get('none')), 'ms');
});

/** One request each 1/rate s, whether the ones before have ended or not. @returns ms to the first byte of each */
async function askEvenly(port: number, durationMs: number): Promise<readonly number[]> {
  const request = buildRequest('length', 0, signToken());
  const idle: Connection[] = await Promise.all(Array.from({ length: 8 }, () => openConnection(port)));
  const all = [...idle];
  const times: number[] = [];
  const asked: Promise<void>[] = [];
  const startedMs = performance.now();
  for (let at = 0; at < (durationMs / 1000) * rate; at += 1) {
    const dueMs = startedMs + (at * 1000) / rate;
    await sleep(Math.max(0, dueMs - performance.now()));
    const connection = idle.pop();
    // All are busy: the machine does not keep up, and the ones that wait say so.
    if (connection === undefined) continue;
    asked.push(
      connection.ask(request).then(({ firstByteMs }) => {
        times.push(firstByteMs);
        idle.push(connection);
      }),
    );
  }
  await Promise.all(asked);
  for (const connection of all) connection.close();
  return times;
}
