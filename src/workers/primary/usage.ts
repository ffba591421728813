/** What the workers use, together: as each said last, and of those that have ended what does not end with them. */
import type { OtherProcesses } from '../../telemetry/process-metrics.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface Usage extends OtherProcesses {
  inFlight(): number;
  /** It has ended. */
  end(worker: WorkerProcess): void;
}

/** @param serving those that take connections @param workers and those that do not yet */
export function createUsage(serving: () => readonly WorkerProcess[], workers: () => readonly WorkerProcess[]): Usage {
  const ended = { cpuS: 0, busyS: 0 };
  let deaths = 0;

  return {
    get count() {
      return serving().length;
    },
    inFlight: () => sum('inFlight'),
    residentBytes: () => sum('residentBytes'),
    cpuS: () => ended.cpuS + sum('cpuS'),
    busyS: () => ended.busyS + sum('busyS'),
    deaths: () => deaths,
    end(worker) {
      deaths += 1;
      const vitals = worker.vitals();
      ended.cpuS += vitals?.cpuS ?? 0;
      ended.busyS += vitals?.busyS ?? 0;
    },
  };

  function sum(of: 'inFlight' | 'residentBytes' | 'cpuS' | 'busyS'): number {
    return workers().reduce((total, worker) => total + (worker.vitals()?.[of] ?? 0), 0);
  }
}
