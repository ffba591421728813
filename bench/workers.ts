/**
 * `npm run bench:workers`: requests a second of a sidecar of one process and of one with several workers, in front of one upstream
 * and by turns. Client and upstream run on the same cores and take their share of them: what they take is printed with it.
 */
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { drive } from './load/drive.ts';
import { buildBundle } from './measure/bundle.ts';
import { loadOf, startSidecar } from './measure/peers.ts';
import { medianOf, medianRatio, quantileOf } from './measure/statistics.ts';
import { keepOn, type Peer, startPeer } from './peers/process.ts';
import { defaultPolicy, furnishSidecar, withDirectory } from './peers/sidecar-home.ts';

/** Enough that no worker waits for a client. */
const connections = 32;
const warmUpMs = 4000;
const roundMs = 1500;
const rounds = Number(process.argv[2] ?? 12);
const counts = [1, Math.max(2, Number(process.argv[3] ?? 2))] as const;

interface Measured {
  readonly perSecond: number;
  /** Of the sidecar's processes together, for a request, µs. */
  readonly sidecarUs: number;
  /** Cores that client and upstream took. */
  readonly others: number;
  readonly p99Ms: number;
}

await withDirectory(async (directory) => {
  const stdout = await open(join(directory, 'stdout.jsonl'), 'w');
  await using stack = new AsyncDisposableStack();
  stack.defer(() => stdout.close());
  const keep = keepOn(stack);
  const upstream = await keep(startPeer({ script: 'upstream.ts' }));
  const bundle = await buildBundle(directory, defaultPolicy);
  const sidecars = await Promise.all(
    counts.map(async (workers) => {
      const home = await furnishSidecar(directory, bundle, upstream.port, { workers });
      const { port } = await keep(startSidecar(home, stdout.fd));
      return { workers, port, opsPort: home.opsPort, measured: [] as Measured[] };
    }),
  );
  for (const { port } of [...sidecars, ...sidecars])
    await drive({ ...loadOf('length', 0, connections, warmUpMs), port });
  for (let round = 0; round < rounds; round += 1) {
    // Each is first as often as the other.
    for (const sidecar of round % 2 === 0 ? sidecars : sidecars.toReversed())
      sidecar.measured.push(await measure(sidecar, upstream));
  }

  process.stdout.write(
    `${availableParallelism()} cores, ${connections} connections, ${rounds} rounds of ${roundMs} ms\n`,
  );
  for (const { workers, measured } of sidecars) {
    const middle = (of: keyof Measured): number => medianOf(measured.map((each) => each[of]));
    const name = workers === 1 ? '1 process' : `${workers} workers`;
    print(`${name}: requests a second`, middle('perSecond'), 0);
    print(`${name}: CPU of a request, all its processes, µs`, middle('sidecarUs'), 0);
    print(`${name}: first byte, p99, ms`, middle('p99Ms'), 1);
    print(`${name}: cores that client and upstream took meanwhile`, middle('others'), 2);
  }
  const [one, several] = sidecars.map(({ measured }) => measured);
  const of = (measured: readonly Measured[] | undefined, name: keyof Measured) =>
    measured?.map((each) => each[name]) ?? [];
  print(
    `${counts[1]} workers against 1 process: requests a second, times`,
    medianRatio(of(several, 'perSecond'), of(one, 'perSecond')),
    2,
  );
  print(
    `${counts[1]} workers against 1 process: CPU of a request, times`,
    medianRatio(of(several, 'sidecarUs'), of(one, 'sidecarUs')),
    2,
  );
});

async function measure(
  { port, opsPort }: { readonly port: number; readonly opsPort: number },
  upstream: Peer,
): Promise<Measured> {
  const before = [await cpuOf(opsPort), (await upstream.usage()).cpuUs / 1e6, ownCpu()] as const;
  const { requests, seconds, firstByteMs } = await drive({ ...loadOf('length', 0, connections, roundMs), port });
  const own = ownCpu() - before[2];
  const sidecarS = (await cpuOf(opsPort)) - before[0];
  const upstreamS = (await upstream.usage()).cpuUs / 1e6 - before[1];
  return {
    perSecond: requests / seconds,
    sidecarUs: (sidecarS / requests) * 1e6,
    others: (own + upstreamS) / seconds,
    p99Ms: quantileOf(firstByteMs, 0.99),
  };
}

/** Of all its processes, s. */
async function cpuOf(opsPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]);
}

function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function print(what: string, figure: number, digits: number): void {
  process.stdout.write(`${what.padEnd(66)} ${figure.toFixed(digits).padStart(9)}\n`);
}
