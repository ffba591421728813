/** How long one engine takes to decide on some inputs, again and again. */
import { performance } from 'node:perf_hooks';
import type { PolicyConfig } from '../configured/policy.ts';
import { createDecider } from '../decision/decide.ts';
import { createEngine } from '../decision/engines/table.ts';
import type { Place } from '../decision/isolation/choose.ts';
import { loadIsolated } from '../decision/isolation/isolate.ts';
import { PolicyError } from '../errors.ts';
import { measurePolicy } from '../policy/measure.ts';
import { preparePolicy } from '../policy/prepare.ts';
import type { Toolchain } from '../policy/toolchain/protocol.ts';
import type { Decision, PolicyInput } from '../types.ts';

export interface Measured {
  readonly decisionsPerS: number;
  /** Of one decision, evaluation and narrowing, in µs. */
  readonly p50: number;
  readonly p99: number;
  /** From the files to the first decision, in ms; the policy's tests left out. */
  readonly readyMs: number;
  readonly decisions: number;
  /** Where it is evaluated, as `policy.isolation` says or by what is known of the policy. */
  readonly place: Place['place'];
  /** What it decided on each input, so that engines can be compared. */
  readonly verdicts: readonly string[];
}

/** What V8 compiles at first is no part of the measurement. */
const warmUpShare = 0.3;

/** Of more decisions than these only the last ones are looked at. */
const mostTimes = 2_000_000;

/**
 * Nothing is remembered: each decision is evaluated.
 *
 * @throws Error that says why the engine can't run this policy
 */
export async function measureEngine(
  config: PolicyConfig,
  inputs: readonly PolicyInput[],
  durationMs: number,
  toolchain: Toolchain,
): Promise<Measured> {
  const started = performance.now();
  const engine = await createEngine(config);
  const { path, entrypoint } = config;
  const { policy } = await preparePolicy({ path, entrypoint, toolchain, needs: engine.needs, runTests: false });
  const bytes = engine.needs === 'none' ? 0 : await measurePolicy(path);
  const nothing = (): void => {};
  const { loaded, place } = await loadIsolated(policy, { config, engine, bytes, onLost: nothing, onMoved: nothing });
  try {
    if (!loaded.entrypoints.includes(entrypoint)) throw new PolicyError(`it has no entrypoint ${entrypoint}`);
    let failure: unknown;
    const decide = createDecider({
      engine: config.engine,
      policy: () => loaded,
      entrypoint,
      mode: config.mode,
      denyListOperations: config.denyListOperations,
      onError: (error) => {
        failure ??= error;
      },
    });
    const verdicts: string[] = [];
    for (const input of inputs) {
      verdicts.push(spell(await decide(input)));
      if (failure !== undefined) throw failure;
    }
    const readyMs = performance.now() - started;
    const measured = await repeat(decide, inputs, durationMs);
    if (failure !== undefined) throw failure;
    return { ...measured, readyMs, verdicts, place: place.place };
  } finally {
    await loaded.close();
  }
}

async function repeat(
  decide: (input: PolicyInput) => Promise<Decision>,
  inputs: readonly PolicyInput[],
  durationMs: number,
): Promise<Pick<Measured, 'decisionsPerS' | 'p50' | 'p99' | 'decisions'>> {
  const begin = performance.now();
  const warm = begin + durationMs * warmUpShare;
  const end = begin + durationMs;
  const times = new Float64Array(mostTimes);
  let count = 0;
  let countedSince = begin;
  let before = begin;
  while (before < end) {
    for (const input of inputs) {
      await decide(input);
      const now = performance.now();
      if (before >= warm) {
        if (count === 0) countedSince = before;
        times[count % mostTimes] = now - before;
        count += 1;
      }
      before = now;
    }
  }
  // A duration so short that nothing but the warm-up fits into it.
  if (count === 0) return { decisionsPerS: Number.NaN, p50: Number.NaN, p99: Number.NaN, decisions: 0 };
  const sorted = times.subarray(0, Math.min(count, mostTimes)).sort();
  const quantile = (share: number): number => (sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN) * 1000;
  return {
    decisionsPerS: (count / (before - countedSince)) * 1000,
    p50: quantile(0.5),
    p99: quantile(0.99),
    decisions: count,
  };
}

function spell({ allowed, httpStatus, reasons }: Decision): string {
  return allowed
    ? 'allow'
    : `deny ${httpStatus} ${reasons
        .map(({ code }) => code)
        .toSorted()
        .join(' ')}`;
}
