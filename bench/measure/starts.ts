/** Starts of the sidecar as it is packaged and as it is checked out. */
import { fileURLToPath } from 'node:url';

import type { Figure } from '../figures.ts';
import { defaultPolicy } from '../peers/sidecar-home.ts';
import { emitPackage } from './package.ts';
import { measureStart, type Start } from './start.ts';
import { medianOf } from './statistics.ts';
import { mebibytes } from './units.ts';

export interface StartsOptions {
  readonly directory: string;
  readonly bundlePath: string;
  readonly upstreamPort: number;
  /** Of each kind. */
  readonly count: number;
  /** Load for one of them, after which its memory is read again. */
  readonly use: (dataPort: number) => Promise<unknown>;
}

const checkoutCommand = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

export async function measureStarts(options: StartsOptions): Promise<readonly Figure[]> {
  const { directory, bundlePath, upstreamPort, count, use } = options;
  if (count === 0) return [];
  const packaged = await emitPackage(directory);
  const fromRego: Start[] = [];
  const fromBundle: Start[] = [];
  const inCheckout: Start[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = { directory, upstreamPort, command: packaged };
    fromRego.push(await measureStart({ ...start, policyPath: defaultPolicy }));
    fromBundle.push(await measureStart({ ...start, policyPath: bundlePath, ...(index === 0 && { use }) }));
    inCheckout.push(await measureStart({ ...start, policyPath: bundlePath, command: checkoutCommand }));
  }
  const secondsOf = (starts: readonly Start[]): number => medianOf(starts.map(({ seconds }) => seconds));
  const rssOf = (starts: readonly Start[]): number => mebibytes(medianOf(starts.map(({ rssBytes }) => rssBytes)));
  const atMost = (limit: number): Pick<Figure, 'aim'> => ({ aim: { of: 'value', limit } });
  return [
    { name: 'ready from .rego', unit: 's', sidecar: secondsOf(fromRego), ...atMost(3) },
    { name: 'ready from a compiled bundle', unit: 's', sidecar: secondsOf(fromBundle), ...atMost(0.6) },
    { name: '  the same in a checkout, from sources', unit: 's', sidecar: secondsOf(inCheckout) },
    { name: 'memory there, when ready', unit: 'MiB', sidecar: rssOf(fromBundle), ...atMost(120) },
    { name: '  after load', unit: 'MiB', sidecar: mebibytes(fromBundle[0]?.usedRssBytes ?? Number.NaN) },
    { name: '  when ready in a checkout, from sources', unit: 'MiB', sidecar: rssOf(inCheckout) },
  ];
}
