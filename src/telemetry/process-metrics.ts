/** What the process itself costs, read when somebody asks: nothing runs in between. Names as other exporters have them. */
import { performance } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Processes beside this one that serve in its place. */
export interface OtherProcesses {
  /** Those that are there. */
  readonly count: number;
  /** That have ended without being told to. */
  deaths(): number;
  residentBytes(): number;
  /** Those that have ended included. */
  cpuS(): number;
  busyS(): number;
}

/** @param version of this package */
export function registerProcessMetrics(
  registry: Registry,
  version: string,
  others: () => OtherProcesses | undefined,
): void {
  const registers = [registry];
  new Gauge({
    name: 'opallama_build_info',
    help: '1, by the version of the sidecar and of Node.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version, node: process.versions.node }, 1);
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process began, Unix time.',
    registers,
  }).set(Math.round(performance.timeOrigin) / 1000);
  new Gauge({
    name: 'opallama_workers',
    help: 'Processes that take connections.',
    registers,
    collect() {
      this.set(others()?.count ?? 1);
    },
  });
  new Counter({
    name: 'opallama_worker_deaths_total',
    help: 'Workers that ended without being told to.',
    registers,
    collect() {
      this.reset();
      this.inc(others()?.deaths() ?? 0);
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory that the process holds.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss() + (others()?.residentBytes() ?? 0));
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, all of its threads.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6 + (others()?.cpuS() ?? 0));
    },
  });
  new Counter({
    name: 'opallama_event_loop_busy_seconds_total',
    help: 'Time in which the event loop was at work: its rate is the share of one core that serves requests.',
    registers,
    collect() {
      this.reset();
      this.inc(performance.eventLoopUtilization().active / 1000 + (others()?.busyS() ?? 0));
    },
  });
}
