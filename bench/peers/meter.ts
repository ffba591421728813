/** Runs in each measured process: tells over IPC what the process has used, and profiles it when asked. */
import { type Profiler, Session } from 'node:inspector';

export type Question = 'usage' | 'profile' | 'stop profile';

export interface Usage {
  /** Of all threads, since the start, µs. */
  readonly cpuUs: number;
  /** Of the thread that runs JavaScript alone, µs. */
  readonly mainThreadUs: number;
  readonly rssBytes: number;
}

export type Report =
  | { readonly report: 'listening'; readonly port: number }
  | { readonly report: 'usage'; readonly usage: Usage }
  | { readonly report: 'profiling' }
  | { readonly report: 'profile'; readonly profile: Profiler.Profile };

/** Time between two samples, µs. */
const sampleUs = 200;

let session: Session | undefined;

process.on('message', (question: Question) => {
  switch (question) {
    case 'usage': {
      const all = process.cpuUsage();
      const main = process.threadCpuUsage();
      const usage = {
        cpuUs: all.user + all.system,
        mainThreadUs: main.user + main.system,
        rssBytes: process.memoryUsage.rss(),
      };
      tell({ report: 'usage', usage });
      return;
    }
    case 'profile':
      session = new Session();
      session.connect();
      session.post('Profiler.enable');
      session.post('Profiler.setSamplingInterval', { interval: sampleUs });
      session.post('Profiler.start', () => tell({ report: 'profiling' }));
      return;
    case 'stop profile':
      session?.post('Profiler.stop', (_error, stopped) => {
        session?.disconnect();
        tell({ report: 'profile', profile: stopped.profile });
      });
  }
});
// The bench is gone: nothing that it started may be left behind.
process.on('disconnect', () => process.exit(0));

/** Tells the bench where this process listens. */
export function announce(port: number): void {
  tell({ report: 'listening', port });
}

function tell(report: Report): void {
  process.send?.(report);
}
