/** Who serves: this process, or several others. */
import type { Config } from '../configured/config.ts';
import { ConfigError } from '../errors.ts';
import { nowMs } from '../http/ops/messages.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RecordedSources } from '../workers/sources.ts';
import { type Prepared, prepareServing } from './serving.ts';

/** What several workers need: they are refused without it. */
export interface WorkersOptions {
  /** What the configuration was read from. */
  readonly sources: () => RecordedSources;
  /** Where lines of the workers' logs go. */
  readonly onLog: (lines: string) => void;
}

export interface PrepareOptions {
  readonly workers?: WorkersOptions | undefined;
  readonly extraHeaders?: Readonly<Record<string, string>>;
  readonly isAuditFailing?: () => boolean;
}

interface PrepareParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly workersTurned: BigInt64Array | undefined;
}

/** @returns when the event loop of each worker turned last, for whoever watches that; undefined where there is none */
export function createTurns({ workers = 1 }: Config): BigInt64Array | undefined {
  return workers === 1 ? undefined : new BigInt64Array(new SharedArrayBuffer(workers * 8)).fill(nowMs());
}

/** @throws ConfigError for a file that can't be used, and what a worker fails of that can't be started */
export async function prepare(
  config: Config,
  { workers, extraHeaders = {}, isAuditFailing = () => false }: PrepareOptions,
  { log, metrics, workersTurned }: PrepareParts,
): Promise<Prepared> {
  if (workersTurned === undefined) return prepareServing(config, { log, metrics, extraHeaders });
  if (workers === undefined) throw new ConfigError(['workers: this command serves by one process; leave it out.']);
  // Whoever serves alone needs nothing of this.
  const { prepareWorkers } = await import('../workers/primary/serving.ts');
  return prepareWorkers(config, {
    log,
    metrics,
    ...workers,
    isAuditFailing,
    onTurn: (number) => void Atomics.store(workersTurned, number - 1, nowMs()),
  });
}
