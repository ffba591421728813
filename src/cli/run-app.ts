/** Runs the sidecar until it is told to stop. Shared by `serve` and `quickstart`. */
import { setTimeout as sleep } from 'node:timers/promises';

import { type App, startApp } from '../app.ts';
import type { Config } from '../configured/config.ts';
import { giveMemoryBack } from '../give-back.ts';
import { createLogger, type Logger, openLogOutput } from '../telemetry/log.ts';
import { createRecentLines } from '../telemetry/recent-lines.ts';
import type { RecordedSources } from '../workers/sources.ts';
import { openSinks } from './open-sinks.ts';

export interface RunOptions {
  readonly searchPath: string | undefined;
  /** What the configuration was read from; asked for where there are several workers. */
  readonly sources?: () => RecordedSources;
  readonly extraHeaders?: Readonly<Record<string, string>>;
  /** Closed behind the sidecar. */
  readonly onClosed?: () => Promise<void>;
}

export interface Running {
  readonly app: App;
  readonly log: Logger;
}

/** For what is written and not sent yet, and for whoever waits for the drain at the admin listener. */
const lastBytesMs = 1000;
/** For the last lines of the log. */
const lastLinesMs = 1000;

/** @throws what `startApp` throws, before anything listens */
export async function runApp(config: Config, options: RunOptions): Promise<Running> {
  giveMemoryBack();
  const lines = createRecentLines();
  const output = openLogOutput(lines.add);
  const log = createLogger(config.log.level, { output });
  let app: App | undefined;
  const sinks = await openSinks(config.audit, log, () => app);
  const start = (): Promise<App> =>
    startApp(config, {
      log,
      record: sinks.record,
      onShadow: sinks.observeShadow,
      onAdmin: sinks.observeAdmin,
      admit: sinks.admit,
      recordNotReady: sinks.notReady,
      isAuditFailing: sinks.isFailing,
      recentLines: lines.list,
      searchPath: options.searchPath,
      workers: options.sources && { sources: options.sources, onLog: output.write },
      ...(options.extraHeaders && { extraHeaders: options.extraHeaders }),
    });
  try {
    app = await start();
  } catch (error) {
    await sinks.close();
    throw error;
  }
  const running = { app, log };

  /** Where nobody reads the log any more, lines that wait when the process exits would be tried for ever: they go first. */
  const exit = async (code: number): Promise<void> => {
    await within(lastLinesMs, new Promise((resolve) => log.flush(resolve)));
    process.exit(code);
  };
  let signals = 0;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    signals += 1;
    if (signals === 2) await stopNow(signal);
    if (signals > 1) process.exit(1);
    log.info({ signal }, 'shutting down');
    // A person at a terminal has nobody who would have to hear of it first.
    const report = await running.app.leave(signal === 'SIGTERM' ? {} : { delayMs: 0 });
    if (signals > 1) return;
    if (!report.drained) log.warn(report, 'requests in flight are cut: shutdown.grace is over');
    // What has ended may still be on its way to the clients.
    await running.app.close(lastBytesMs);
    await options.onClosed?.();
    await sinks.close();
    await exit(0);
  };
  /** A second signal means now: what is in flight is cut, and told of. */
  const stopNow = async (signal: NodeJS.Signals): Promise<void> => {
    log.warn({ signal }, 'ending now: requests in flight are cut');
    const cut = running.app.close(0).then(() => sinks.close());
    await within(
      lastBytesMs,
      cut.catch((error: unknown) => log.error({ err: error }, 'could not end in order')),
    );
    running.app.tellNow();
    sinks.flushNow();
    await exit(1);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));
  // The process ends as it would have, but no event that was made is lost.
  process.on('uncaughtExceptionMonitor', () => {
    running.app.tellNow();
    sinks.flushNow();
    log.flush();
  });
  return running;
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(ms)]);
}
